// Package form reads requests from HTML forms.
package form
