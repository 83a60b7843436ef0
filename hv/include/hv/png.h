/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes a PNG file (ISO/IEC 15948) of 8 bits red, green and blue a pixel, row by row, in host
 * memory: its own, and at most PNG_MAX for the file. zlib compresses it. Any context; the caller
 * alone has it.
 */
#pragma once
#include <hv/types.h>
struct png;

#define PNG_MAX (16 * MIB)
#define PNG_WIDTH_MAX 8192u

/* The caller frees it. -EINVAL: width is not 1 to PNG_WIDTH_MAX, or height 0; -ENOMEM; *out is NULL
 * then. */
int must_check png_begin(struct png **out, uint32_t width, uint32_t height);
/* The next row, 3 * width bytes; after an error nothing but png_free(). -ENOMEM; -EFBIG. */
int must_check png_row(struct png *, const uint8_t *rgb);
/* After the last row. Errors as of png_row(). */
int must_check png_end(struct png *);
/* The file so far, and PAGE_SIZE of its bytes from that page on, filled up with zeroes. */
uint64_t png_len(const struct png *);
void png_page(const struct png *, uint32_t page, uint8_t *bytes);
void png_free(struct png *); /* NULL does no harm */
