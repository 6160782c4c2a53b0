// What the Go side calls. One decoder an instance of the module.
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "dav1d/dav1d.h"

#define EXPORT(name) __attribute__((export_name(name)))

static Dav1dContext *decoder;
static Dav1dData data;
static Dav1dPicture picture;

// What next() found. The Go side reads it.
static struct {
	int32_t width, height, bits, layout;
	int32_t stride, chroma_stride;
	uint32_t planes[3];
	int32_t primaries, transfer, matrix, full_range;
	int32_t spatial_id;
	int32_t rows; // decoded before a fault; less than 0: all
} found;

extern int decoded_rows; // from tolerant.patch

// open begins to decode. Pictures of more than so many pixels are refused. plain leaves
// out what is done to the decoded blocks: filters and film grain.
EXPORT("open") int32_t open_decoder(uint32_t most_pixels, int32_t operating_point, int32_t all_layers,
	int32_t plain) {
	Dav1dSettings s;
	dav1d_default_settings(&s);
	s.n_threads = 1;
	s.max_frame_delay = 1;
	s.frame_size_limit = most_pixels;
	s.operating_point = operating_point;
	s.all_layers = all_layers;
	if (plain) {
		s.inloop_filters = DAV1D_INLOOPFILTER_NONE;
		s.apply_grain = 0;
	}
	return dav1d_open(&decoder, &s);
}

// buffer returns where the next data are to be written.
EXPORT("buffer") uint8_t *buffer(uint32_t size) {
	if (data.data) dav1d_data_unref(&data);
	return dav1d_data_create(&data, size);
}

// next returns 1 if there is a picture, 0 if more data are wanted, and less if the
// data are damaged. The picture before is given up.
EXPORT("next") int32_t next(void) {
	if (picture.data[0]) dav1d_picture_unref(&picture);
	memset(&picture, 0, sizeof picture);
	for (;;) {
		int sent = 0;
		if (data.sz) {
			sent = dav1d_send_data(decoder, &data);
			if (sent < 0 && sent != DAV1D_ERR(EAGAIN)) dav1d_data_unref(&data);
		}
		int got = dav1d_get_picture(decoder, &picture);
		if (!got) break;
		if (sent < 0 && sent != DAV1D_ERR(EAGAIN)) return sent;
		if (got != DAV1D_ERR(EAGAIN)) return got;
		if (!data.sz) return 0;
	}
	found.width = picture.p.w;
	found.height = picture.p.h;
	found.bits = picture.p.bpc;
	found.layout = picture.p.layout;
	found.stride = picture.stride[0];
	found.chroma_stride = picture.stride[1];
	for (int i = 0; i < 3; i++) found.planes[i] = (uint32_t)(uintptr_t)picture.data[i];
	found.primaries = picture.seq_hdr->pri;
	found.transfer = picture.seq_hdr->trc;
	found.matrix = picture.seq_hdr->mtrx;
	found.full_range = picture.seq_hdr->color_range;
	found.spatial_id = picture.frame_hdr->spatial_id;
	found.rows = decoded_rows;
	return 1;
}

EXPORT("found") void *where_found(void) { return &found; }
