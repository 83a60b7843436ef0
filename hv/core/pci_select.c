/* SPDX-License-Identifier: BSD-2-Clause */
/* pci_select.c: see <hv/pci_select.h>. Classes: PCI Code and ID Assignment Specification 1.11. */
#include <hv/pci_select.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    uint32_t class, mask;
} classes[] = {
    { "audio", 0x040300, 0xffff00 },    { "display", 0x030000, 0xff0000 },
    { "ethernet", 0x020000, 0xffff00 }, { "network", 0x020000, 0xff0000 },
    { "nvme", 0x010802, 0xffffff },     { "sata", 0x010600, 0xffff00 },
    { "storage", 0x010000, 0xff0000 },  { "usb", 0x0c0300, 0xffff00 },
};

/* 1 to `most` hexadecimal digits at *s, not above `top`; advances *s. */
static bool select_hex(const char **s, unsigned least, unsigned most, uint32_t top, uint32_t *out)
{
    unsigned n = 0;

    for (*out = 0; n < most + 1; n++, (*s)++) {
        unsigned char c = (unsigned char)**s, low = c | 0x20;

        if (c >= '0' && c <= '9')
            *out = *out << 4 | (uint32_t)(c - '0');
        else if (low >= 'a' && low <= 'f')
            *out = *out << 4 | (uint32_t)(low - 'a' + 10);
        else
            break;
    }
    return n >= least && n <= most && *out <= top;
}

static bool select_char(const char **s, char c) { return *(*s)++ == c; }

/* "03:00.0" */
static bool select_short(const char *s, struct pci_select *out)
{
    uint32_t bus, dev, fn;

    if (!select_hex(&s, 1, 2, 0xff, &bus) || !select_char(&s, ':') ||
        !select_hex(&s, 1, 2, 0x1f, &dev) || !select_char(&s, '.') ||
        !select_hex(&s, 1, 1, 7, &fn) || *s)
        return false;
    out->kind = PCI_SELECT_ADDRESS;
    out->bus = (uint8_t)bus;
    out->devfn = (uint8_t)(dev << 3 | fn);
    return true;
}

static bool select_long(const char *s, struct pci_select *out)
{
    uint32_t segment;

    if (!select_hex(&s, 4, 4, 0xffff, &segment) || !select_char(&s, ':'))
        return false;
    out->segment = (uint16_t)segment;
    return select_short(s, out);
}

static bool select_id(const char *s, struct pci_select *out)
{
    uint32_t vendor, device;

    if (!select_hex(&s, 4, 4, 0xfffe, &vendor) || !select_char(&s, ':') ||
        !select_hex(&s, 4, 4, 0xffff, &device) || *s)
        return false;
    out->kind = PCI_SELECT_ID;
    out->vendor = (uint16_t)vendor;
    out->device = (uint16_t)device;
    return true;
}

static bool select_class(const char *s, struct pci_select *out)
{
    if (strncasecmp(s, "class:", 6) != 0)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
        if (strcasecmp(s + 6, classes[i].name) == 0) {
            out->kind = PCI_SELECT_CLASS;
            out->class = classes[i].class;
            out->class_mask = classes[i].mask;
            return true;
        }
    return false;
}

int pci_select_parse(const char *s, struct pci_select *out)
{
    *out = (struct pci_select){ .kind = PCI_SELECT_ADDRESS };
    return select_short(s, out) || select_long(s, out) || select_id(s, out) || select_class(s, out)
               ? 0
               : -EINVAL;
}

const char *pci_select_classes(char *buf, size_t n)
{
    size_t len = 0;

    buf[0] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(classes) && len < n; i++)
        len += (size_t)snprintf(buf + len, n - len, "%s%s", i ? ", " : "", classes[i].name);
    return buf;
}
