/* SPDX-License-Identifier: BSD-2-Clause */
/* guest_smbios.c: see <hv/guest_smbios.h>. Numbers are little-endian. */
#include <hv/guest_smbios.h>
#include <string.h>

enum { SYSTEM = 1, CHASSIS = 3, OEM_STRINGS = 11, END = 127 };
enum { SYSTEM_LEN = 27, CHASSIS_LEN = 22, OEM_LEN = 5, END_LEN = 4 };
enum { WAKE_POWER_SWITCH = 6, CHASSIS_OTHER = 1, STATE_SAFE = 3, SECURITY_UNKNOWN = 2 };
/* Texts that are there are at most these; each with its end. */
static_assert(SYSTEM_LEN + CHASSIS_LEN + OEM_LEN + END_LEN + 4 * 2 +
                      (7 + SMBIOS_OEM) * SMBIOS_TEXT <=
                  SMBIOS_ROOM,
              "the largest tables");

struct smbios_out {
    uint8_t *at;
    uint16_t handle;
    uint8_t ntexts; /* of this table */
    uint8_t *texts; /* where the next one goes */
};

/* §6.1.2; its texts follow the formatted part. */
static uint8_t *smbios_begin(struct smbios_out *o, uint8_t type, uint8_t len)
{
    uint8_t *p = o->at;

    memset(p, 0, len);
    p[0] = type;
    p[1] = len;
    put_le(p + 2, 2, o->handle++);
    o->ntexts = 0;
    o->texts = p + len;
    return p;
}

/* Its number; 0: there is none. */
static uint8_t smbios_text(struct smbios_out *o, const char *text)
{
    size_t n = strnlen(text, SMBIOS_TEXT - 1);

    if (n == 0)
        return 0;
    memcpy(o->texts, text, n);
    o->texts[n] = '\0';
    o->texts += n + 1;
    return ++o->ntexts;
}

/* §6.1.3: one more zero ends the texts; two where there are none. */
static void smbios_end(struct smbios_out *o)
{
    *o->texts++ = 0;
    if (o->ntexts == 0)
        *o->texts++ = 0;
    o->at = o->texts;
}

/* §7.2.1: the first three fields are little-endian numbers. */
static void smbios_uuid(uint8_t *to, const uint8_t uuid[16])
{
    static const uint8_t from[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };

    for (unsigned i = 0; i < 16; i++)
        to[i] = uuid[from[i]];
}

/* §7.2 */
static void smbios_system(struct smbios_out *o, const struct guest_smbios *s)
{
    uint8_t *p = smbios_begin(o, SYSTEM, SYSTEM_LEN);

    p[4] = smbios_text(o, s->manufacturer);
    p[5] = smbios_text(o, s->product);
    p[6] = smbios_text(o, s->version);
    p[7] = smbios_text(o, s->serial);
    smbios_uuid(p + 8, s->uuid);
    p[24] = WAKE_POWER_SWITCH;
    smbios_end(o);
}

/* §7.4 */
static void smbios_chassis(struct smbios_out *o, const struct guest_smbios *s)
{
    uint8_t *p = smbios_begin(o, CHASSIS, CHASSIS_LEN);

    p[4] = smbios_text(o, s->manufacturer);
    p[5] = CHASSIS_OTHER;
    p[6] = smbios_text(o, s->version);
    p[7] = smbios_text(o, s->serial);
    p[9] = p[10] = p[11] = STATE_SAFE;
    p[12] = SECURITY_UNKNOWN;
    smbios_end(o);
}

/* §7.12 */
static void smbios_oem(struct smbios_out *o, const struct guest_smbios *s)
{
    uint8_t *p;

    if (s->noem == 0)
        return;
    p = smbios_begin(o, OEM_STRINGS, OEM_LEN);
    for (unsigned i = 0; i < s->noem && i < SMBIOS_OEM; i++)
        p[4] = smbios_text(o, s->oem[i]);
    smbios_end(o);
}

uint32_t guest_smbios_tables(const struct guest_smbios *s, uint8_t tables[SMBIOS_ROOM])
{
    struct smbios_out o = { .at = tables };

    smbios_system(&o, s);
    smbios_chassis(&o, s);
    smbios_oem(&o, s);
    (void)smbios_begin(&o, END, END_LEN);
    smbios_end(&o);
    return (uint32_t)(o.at - tables);
}

/* §5.2.2 */
void guest_smbios_anchor(uint8_t anchor[SMBIOS_ANCHOR], uint32_t len)
{
    uint8_t sum = 0;

    memset(anchor, 0, SMBIOS_ANCHOR);
    memcpy(anchor, "_SM3_", 5);
    anchor[6] = SMBIOS_ANCHOR;
    anchor[7] = 3; /* version 3.6 */
    anchor[8] = 6;
    anchor[10] = 1; /* revision of this entry point */
    put_le(anchor + 12, 4, len);
    for (unsigned i = 0; i < SMBIOS_ANCHOR; i++)
        sum = (uint8_t)(sum + anchor[i]);
    anchor[5] = (uint8_t)(0 - sum);
}
