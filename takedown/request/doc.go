// Package request has the types of requests to remove pictures: [ImageOptOut],
// [FaceOptOut], [DSANotice], [DMCANotice] and others.
//
// [Decode] reads their JSON, which [Schema] describes; package form reads HTML
// forms. [Validate] returns all problems of a request. Package desk receives
// requests and decides them.
//
// The contents of a request are personal data: keep them in the desk's case store
// only.
package request
