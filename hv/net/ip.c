/* SPDX-License-Identifier: BSD-2-Clause */
/* ip.c: IPv4 addresses as text. */
#include <hv/nat.h>
#include <stdio.h>

int ip_parse(const char *s, uint32_t *out)
{
    uint32_t ip = 0;

    for (unsigned i = 0; i < 4; i++) {
        unsigned v = 0, n = 0;

        if (i && *s++ != '.')
            return -EINVAL;
        for (; *s >= '0' && *s <= '9' && n < 3; n++)
            v = v * 10 + (unsigned)(*s++ - '0');
        if (n == 0 || v > 255)
            return -EINVAL;
        ip = ip << 8 | v;
    }
    if (*s)
        return -EINVAL;
    *out = ip;
    return 0;
}

const char *ip_text(uint32_t ip, char buf[IP_TEXT])
{
    snprintf(buf, IP_TEXT, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
    return buf;
}
