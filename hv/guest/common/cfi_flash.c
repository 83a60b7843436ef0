/* SPDX-License-Identifier: BSD-2-Clause */
/* cfi_flash.c: see <hv/cfi_flash.h>. */
#include <hv/cfi_flash.h>
#include <hv/nospec.h>
#include <string.h>

/* Commands, P30 data sheet, "Command bus operations". */
enum {
    CMD_PROGRAM = 0x10,
    CMD_ERASE = 0x20,
    CMD_PROGRAM_2 = 0x40,
    CMD_CLEAR_STATUS = 0x50,
    CMD_LOCK = 0x60,
    CMD_READ_STATUS = 0x70,
    CMD_READ_ID = 0x90,
    CMD_QUERY = 0x98,
    CMD_CONFIRM = 0xd0,
    CMD_BUFFERED = 0xe8
};
/* The status register. */
enum { SR_READY = 0x80, SR_ERASE_FAILED = 0x20, SR_PROGRAM_FAILED = 0x10 };
#define SR_BITS (SR_READY | SR_ERASE_FAILED | SR_PROGRAM_FAILED)
enum { ID_INTEL = 0x89, ID_DEVICE = 0x18, QUERY_LEN = 0x38 };

void cfi_flash_reset(struct cfi_flash *f)
{
    memset(&f->s, 0, sizeof f->s);
    f->s.version = CFI_STATE_VERSION;
    f->s.status = SR_READY;
}

/* ---- reads ---- */

static uint8_t log2_up(uint64_t v)
{
    uint8_t n = 0;

    while (1ull << n < v)
        n++;
    return n;
}

/* JESD68.01 §4, tables 1 to 3: sizes are of one chip. */
static uint8_t query_byte(const struct cfi_flash *f, uint32_t at)
{
    uint32_t chips = f->bank / f->chip, blocks = f->len / f->block - 1,
             block = f->block / chips / 256;
    const uint8_t table[QUERY_LEN] = {
        [0x10] = 'Q',
        [0x11] = 'R',
        [0x12] = 'Y',
        [0x13] = 0x01,
        [0x15] = 0x31,
        [0x1b] = 0x45, /* supply 4.5 to 5.5 V, no programming supply */
        [0x1c] = 0x55,
        [0x1f] = 0x07, /* a program takes 2^7 us at most typically, ... */
        [0x20] = 0x07,
        [0x21] = 0x0a,
        [0x23] = 0x04,
        [0x24] = 0x04,
        [0x25] = 0x04,
        [0x27] = log2_up(f->len / chips),
        [0x28] = f->chip == 1 ? 0 : 1,
        [0x2a] = log2_up(CFI_BUFFER / chips),
        [0x2c] = 1, /* one region of equal blocks */
        [0x2d] = (uint8_t)blocks,
        [0x2e] = (uint8_t)(blocks >> 8),
        [0x2f] = (uint8_t)block,
        [0x30] = (uint8_t)(block >> 8),
        [0x31] = 'P',
        [0x32] = 'R',
        [0x33] = 'I',
        [0x34] = '1',
        [0x35] = '0',
    };

    return at < QUERY_LEN ? table[index_nospec(at, QUERY_LEN)] : 0;
}

/* What one chip says at an address that is no byte of the array. */
static uint8_t chip_says(const struct cfi_flash *f, uint64_t off)
{
    uint32_t word = (uint32_t)(off / f->bank) & 0xff;

    if (f->s.view == CFI_STATUS)
        return f->s.status;
    if (f->s.view == CFI_QUERY)
        return query_byte(f, word);
    return word == 0 ? ID_INTEL : word == 1 ? ID_DEVICE : 0;
}

uint64_t cfi_flash_read(const struct cfi_flash *f, uint64_t off, unsigned size)
{
    uint64_t val = 0;
    uint8_t says;

    if (size > 8 || !range_within(off, size, 0, f->len))
        return UINT64_MAX;
    if (f->s.view == CFI_ARRAY) {
        memcpy(&val, f->data + index_nospec(off, f->len), size);
        return val;
    }
    says = chip_says(f, off);
    for (unsigned i = 0; i < size; i += f->chip)
        val |= (uint64_t)says << (8 * i);
    return val;
}

/* ---- writes ---- */

static void flash_changed(struct cfi_flash *f, uint32_t off, uint32_t len)
{
    if (f->changed)
        f->changed(f, off, len);
}

static void begin(struct cfi_flash *f, enum cfi_phase phase, enum cfi_view view)
{
    f->s.phase = (uint8_t)phase;
    f->s.view = (uint8_t)view;
}

static void flash_store(struct cfi_flash *f, uint64_t off, const void *from, uint32_t len)
{
    f->s.status |= SR_READY;
    if (f->read_only) {
        f->s.status |= SR_PROGRAM_FAILED;
        return;
    }
    memcpy(f->data + index_nospec(off, f->len), from, len);
    flash_changed(f, (uint32_t)off, len);
}

static void on_command(struct cfi_flash *f, uint64_t off, unsigned size, uint64_t val)
{
    static const struct {
        uint8_t command, phase, view;
    } table[] = {
        { CMD_PROGRAM, CFI_PROGRAM, CFI_STATUS },     { CMD_PROGRAM_2, CFI_PROGRAM, CFI_STATUS },
        { CMD_ERASE, CFI_ERASE, CFI_STATUS },         { CMD_LOCK, CFI_LOCK, CFI_STATUS },
        { CMD_READ_STATUS, CFI_COMMAND, CFI_STATUS }, { CMD_READ_ID, CFI_COMMAND, CFI_ID },
        { CMD_QUERY, CFI_COMMAND, CFI_QUERY },        { CMD_BUFFERED, CFI_COUNT, CFI_STATUS },
    };
    uint8_t command = (uint8_t)val;

    (void)off, (void)size;
    if (command == CMD_CLEAR_STATUS)
        f->s.status = 0;
    if (command == CMD_BUFFERED)
        f->s.status |= SR_READY;
    for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
        if (table[i].command == command) {
            begin(f, table[i].phase, table[i].view);
            return;
        }
    begin(f, CFI_COMMAND, CFI_ARRAY); /* what chips do with read array, and this with the rest */
}

static void on_program(struct cfi_flash *f, uint64_t off, unsigned size, uint64_t val)
{
    begin(f, CFI_COMMAND, CFI_STATUS);
    flash_store(f, off, &val, size);
}

static void on_erase(struct cfi_flash *f, uint64_t off, unsigned size, uint64_t val)
{
    uint32_t at = (uint32_t)align_down(off, f->block);

    (void)size;
    begin(f, CFI_COMMAND, CFI_STATUS);
    f->s.status |= SR_READY;
    if ((uint8_t)val != CMD_CONFIRM) {
        f->s.status |= SR_ERASE_FAILED | SR_PROGRAM_FAILED; /* a command sequence error */
        return;
    }
    if (f->read_only) {
        f->s.status |= SR_ERASE_FAILED;
        return;
    }
    memset(f->data + index_nospec(at, f->len), 0xff, f->block);
    flash_changed(f, at, f->block);
}

/* Locks are not kept: blocks are unlocked, as after an unlock. */
static void on_lock(struct cfi_flash *f, uint64_t off, unsigned size, uint64_t val)
{
    (void)off, (void)size, (void)val;
    f->s.status |= SR_READY;
    begin(f, CFI_COMMAND, CFI_STATUS);
}

/* The number of words that follow, less one. */
static void on_count(struct cfi_flash *f, uint64_t off, unsigned size, uint64_t val)
{
    uint32_t words = (uint32_t)(val & (f->chip == 1 ? 0xffu : 0xffffu)) + 1;

    (void)size;
    if (words > CFI_BUFFER / f->bank) {
        f->s.status |= SR_ERASE_FAILED | SR_PROGRAM_FAILED | SR_READY;
        begin(f, CFI_COMMAND, CFI_STATUS);
        return;
    }
    f->s.window = (uint32_t)align_down(off, CFI_BUFFER);
    f->s.left = words;
    f->s.low = CFI_BUFFER;
    f->s.high = 0;
    memcpy(f->s.buffer, f->data + index_nospec(f->s.window, f->len), CFI_BUFFER);
    begin(f, CFI_DATA, CFI_STATUS);
}

/* A word beyond the window spoils the program. */
static void on_data(struct cfi_flash *f, uint64_t off, unsigned size, uint64_t val)
{
    uint64_t at = off - f->s.window;

    if (!range_within(off, size, f->s.window, CFI_BUFFER)) {
        f->s.status |= SR_PROGRAM_FAILED;
        begin(f, CFI_COMMAND, CFI_STATUS);
        return;
    }
    memcpy(f->s.buffer + index_nospec(at, CFI_BUFFER), &val, size);
    f->s.low = (uint32_t)min_u64(f->s.low, at);
    f->s.high = (uint32_t)max_u64(f->s.high, at + size);
    if (--f->s.left == 0)
        begin(f, CFI_CONFIRM, CFI_STATUS);
}

static void on_confirm(struct cfi_flash *f, uint64_t off, unsigned size, uint64_t val)
{
    const struct cfi_flash_state *s = &f->s;

    (void)off, (void)size;
    begin(f, CFI_COMMAND, CFI_STATUS);
    if ((uint8_t)val == CMD_CONFIRM)
        flash_store(f, s->window + s->low, s->buffer + s->low, s->high - s->low);
    else
        f->s.status |= SR_ERASE_FAILED | SR_PROGRAM_FAILED;
}

void cfi_flash_write(struct cfi_flash *f, uint64_t off, unsigned size, uint64_t val)
{
    static void (*const phases[CFI_PHASES])(struct cfi_flash *, uint64_t, unsigned, uint64_t) = {
        [CFI_COMMAND] = on_command, [CFI_PROGRAM] = on_program, [CFI_ERASE] = on_erase,
        [CFI_LOCK] = on_lock,       [CFI_COUNT] = on_count,     [CFI_DATA] = on_data,
        [CFI_CONFIRM] = on_confirm,
    };

    if (size <= 8 && range_within(off, size, 0, f->len))
        phases[f->s.phase](f, off, size, val); /* nospec: set by begin() alone, or checked */
}

bool cfi_flash_valid(const struct cfi_flash *f, const struct cfi_flash_state *s)
{
    bool array = s->view == CFI_ARRAY;

    if (s->version != CFI_STATE_VERSION || s->view >= CFI_VIEWS || s->phase >= CFI_PHASES ||
        s->status & ~SR_BITS || s->pad || (array && s->phase != CFI_COMMAND))
        return false;
    if (s->phase != CFI_DATA && s->phase != CFI_CONFIRM)
        return true;
    if (s->window % CFI_BUFFER || !range_within(s->window, CFI_BUFFER, 0, f->len) ||
        s->left > CFI_BUFFER / f->bank || (s->left == 0) != (s->phase == CFI_CONFIRM))
        return false;
    if (s->phase == CFI_DATA && s->low == CFI_BUFFER && s->high == 0)
        return true; /* no word has come yet */
    return s->low < s->high && s->high <= CFI_BUFFER;
}
