/* SPDX-License-Identifier: BSD-2-Clause */
/* config.h: how liblzma is built: the decoder of .xz for kernels, no threads. */
#pragma once
#define HAVE_STDBOOL_H 1
#define HAVE_STDINT_H 1
#define HAVE_INTTYPES_H 1
#define HAVE__BOOL 1
#define SIZEOF_SIZE_T 8
#define HAVE_VISIBILITY 0
#define NDEBUG 1
#define HAVE_DECODERS 1
#define HAVE_DECODER_LZMA2 1
#define HAVE_DECODER_ARM64 1
#define HAVE_CHECK_CRC32 1
#define HAVE_CHECK_CRC64 1
#define HAVE_CHECK_SHA256 1
#define ASSUME_RAM 128
/* mythread.h would want signals; what is built asks for none of it. */
#define MYTHREAD_H 1
