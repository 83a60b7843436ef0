/* SPDX-License-Identifier: BSD-2-Clause */
/* mac.c: MAC addresses: as numbers, as text, and those that guests get. */
#include <hv/blake2s.h>
#include <hv/net.h>
#include <stdio.h>
#include <string.h>

net_mac net_mac_from(const uint8_t *p)
{
    net_mac m = 0;

    for (unsigned i = 0; i < 6; i++)
        m = m << 8 | p[i];
    return m;
}

void net_mac_to(net_mac m, uint8_t *p)
{
    for (unsigned i = 0; i < 6; i++)
        p[i] = (uint8_t)(m >> (40 - 8 * i));
}

const char *net_mac_text(net_mac m, char buf[NET_MAC_TEXT])
{
    uint8_t b[6];

    net_mac_to(m, b);
    snprintf(buf, NET_MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4],
             b[5]);
    return buf;
}

int net_mac_parse(const char *s, net_mac *out)
{
    net_mac m = 0;

    for (unsigned i = 0; i < 6; i++, s += 2) {
        int hi, lo;

        if (i && *s++ != ':')
            return -EINVAL;
        hi = hex_digit(s[0]);
        lo = hi < 0 ? -1 : hex_digit(s[1]);
        if (lo < 0)
            return -EINVAL;
        m = m << 8 | (unsigned)(hi << 4 | lo);
    }
    if (*s || !net_mac_is_station(m))
        return -EINVAL;
    *out = m;
    return 0;
}

net_mac net_mac_of_guest(const char *name, unsigned i)
{
    uint8_t digest[BLAKE2S_LEN], number = (uint8_t)i;
    struct blake2s h;

    blake2s_begin(&h);
    blake2s_add(&h, name, strlen(name) + 1);
    blake2s_add(&h, &number, 1);
    blake2s_end(&h, digest);
    digest[0] = 0x02; /* locally administered, of a station: IEEE 802 §8.4 */
    return net_mac_from(digest);
}
