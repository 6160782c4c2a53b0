// Keys of the console. Everything works without this script: it only saves tabs and
// clicks. Single letters act only while the focus is in a list, so that they are never
// in the way of speech input or typing (WCAG 2.1.4).
"use strict";
(() => {
	const lists = [...document.querySelectorAll("[data-list]")];
	const itemsOf = (list) => [...list.querySelectorAll(list.dataset.list === "tr" ? "tbody tr" : list.dataset.list)];
	const focusOf = (item) => item.querySelector("input:not([disabled]), a, button, [tabindex]");
	const go = (items, i) => {
		const to = items[Math.max(0, Math.min(items.length - 1, i))];
		const at = to && focusOf(to);
		if (at) {
			at.focus({ focusVisible: true });
			to.scrollIntoView({ block: "nearest" });
		}
	};
	const typing = (e) => e.target.matches("textarea, select, input:not([type=checkbox], [type=radio])");
	const press = (key) => {
		const at = document.querySelector(`[data-key="${key}"]`);
		if (!at) return false;
		if (at.matches("input")) at.focus();
		else at.click();
		return true;
	};
	for (const list of lists) {
		list.addEventListener("keydown", (e) => {
			if (e.ctrlKey || e.metaKey || e.altKey || typing(e)) return;
			const items = itemsOf(list);
			const item = e.target.closest(list.dataset.list);
			const i = items.indexOf(item);
			const radio = (value) => {
				const at = item && item.querySelector(`input[type=radio][value=${value}]`);
				if (!at) return false;
				at.checked = true;
				if (i === items.length - 1) document.querySelector("[data-key=Enter]")?.focus();
				else go(items, i + 1);
				return true;
			};
			const keys = {
				j: () => (go(items, i + 1), true),
				k: () => (go(items, i - 1), true),
				y: () => radio("yes"),
				n: () => radio("no"),
				x: () => {
					const at = item && item.querySelector("input[type=checkbox]:not([disabled])");
					if (at) at.checked = !at.checked;
					return Boolean(at);
				},
				o: () => (item && item.querySelector("a") ? (item.querySelector("a").click(), true) : false),
				u: () => press("u"),
				"/": () => press("/"),
			};
			if (e.key === "Enter" && e.target.matches("input[type=radio]")) return; // sends the form, as browsers do
			if (keys[e.key] && keys[e.key]()) e.preventDefault();
		});
	}
	// On the page of matches the first one waits for its answer.
	if (document.querySelector("[data-first]")) go(itemsOf(lists[0]), 0);
})();
