/* SPDX-License-Identifier: BSD-2-Clause */
/* lwIP's port: the compiler, random numbers, assertions. */
#pragma once
#include <limits.h>
#include <stdint.h>
#ifndef SSIZE_MAX
#define SSIZE_MAX LONG_MAX
#endif
#define LWIP_NO_UNISTD_H 1
#define LWIP_NO_INTTYPES_H 1
#define X8_F "x"
#define U16_F "u"
#define S16_F "d"
#define X16_F "x"
#define U32_F "u"
#define S32_F "d"
#define X32_F "x"
#define SZT_F "zu"
typedef long ssize_t;
#define BYTE_ORDER LITTLE_ENDIAN
/* Both are in hv/net/nat/port.c. */
uint32_t lwip_port_random(void);
void lwip_port_failed(const char *what, const char *file, int line);
#define LWIP_RAND() lwip_port_random()
#define LWIP_PLATFORM_DIAG(x) \
    do {                      \
    } while (0)
#define LWIP_PLATFORM_ASSERT(what) lwip_port_failed(what, __FILE__, __LINE__)
