// Package request has the requests to remove pictures, each kind with a type of its
// own: [ImageOptOut], [FaceOptOut], [DSANotice], [DMCANotice] and others.
//
// [Decode] reads their JSON, which [Schema] describes; package form reads HTML
// forms. [Validate] says everything that is wrong with a request. Package desk
// takes them in and decides about them.
//
// What a requester wrote is personal data: it belongs into the desk's case store
// and nowhere else.
package request
