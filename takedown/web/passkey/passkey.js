// Asks the device for a passkey, or for a new one, and sends its answer as a form.
"use strict";
(() => {
	const form = document.querySelector("form[data-options]");
	if (!form) return;
	const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
	const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
	const options = JSON.parse(form.dataset.options);
	options.challenge = bytes(options.challenge);
	if (options.user) options.user.id = bytes(options.user.id);
	for (const key of [...(options.excludeCredentials ?? []), ...(options.allowCredentials ?? [])]) key.id = bytes(key.id);
	const status = form.querySelector("[role=status]");
	form.addEventListener("submit", async (e) => {
		if (form.elements.answer.value) return;
		e.preventDefault();
		if (!window.PublicKeyCredential) {
			status.textContent = status.dataset.missing;
			return;
		}
		try {
			const key = await navigator.credentials[form.dataset.do]({ publicKey: options });
			const response = {};
			for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
				if (key.response[name]) response[name] = text(key.response[name]);
			}
			form.elements.answer.value = JSON.stringify({ id: key.id, rawId: text(key.rawId), type: key.type, response, clientExtensionResults: key.getClientExtensionResults() });
			form.submit();
		} catch {
			status.textContent = status.dataset.failed;
		}
	});
})();
