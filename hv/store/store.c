/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store.c: the machine of a state volume, see <hv/store.h>. A step does a page's work, asks the
 * disk for the next page, and names the step that follows.
 */
#include <hv/assert.h>
#include <hv/store.h>
#include <string.h>

/* What a step returns, beside -Exxx, which ends the operation. */
enum { STORE_WAIT, STORE_GO, STORE_END };

/* ---- bitmaps ---- */

static bool store_bit(const uint64_t *map, uint32_t i) { return map[i / 64] >> (i % 64) & 1; }
static void store_set_bit(uint64_t *map, uint32_t i) { map[i / 64] |= 1ull << (i % 64); }
static void clear_bit(uint64_t *map, uint32_t i) { map[i / 64] &= ~(1ull << (i % 64)); }

static uint32_t pages_in_use(const struct store *s)
{
    return (uint32_t)min_u64(s->pages, STORE_PAGES_MAX);
}

static bool store_is_free(const struct store *s, uint32_t page)
{
    return !store_bit(s->used[0], page) && !store_bit(s->used[1], page) &&
           !store_bit(s->taken, page);
}

/* `n` free pages in a row, from the hand on, so that pages wear alike. 0: there are none. */
static uint32_t take_pages(struct store *s, uint32_t n)
{
    uint32_t end = pages_in_use(s), run = 0;

    for (uint32_t i = 0; i < 2 * end; i++) {
        if (s->hand < STORE_FIRST || s->hand >= end) {
            s->hand = STORE_FIRST;
            run = 0;
        }
        run = store_is_free(s, s->hand++) ? run + 1 : 0;
        if (run < n)
            continue;
        for (uint32_t k = 1; k <= n; k++)
            store_set_bit(s->taken, s->hand - k);
        return s->hand - n;
    }
    return 0;
}

/* ---- the machine ---- */

static int ask(struct store *s, enum store_io what, uint32_t page, store_step *then)
{
    int did;

    s->step = then;
    s->status = 0;
    did = s->disk->submit(s, what, page);
    if (did < 0)
        s->status = did;
    return did < 0 ? STORE_GO : did;
}

static int store_go(struct store *s, store_step *step)
{
    s->step = step;
    return STORE_GO;
}

static int begin_op(struct store *s);

static void end_op(struct store *s, int status)
{
    struct store_op *op = s->first;

    s->first = op->next;
    s->step = begin_op;
    if (op->done)
        op->done(op, status);
}

/* `running`: an operation's end may submit the next one. */
static void store_run(struct store *s)
{
    if (s->running)
        return;
    s->running = true;
    while (s->first) {
        int did = s->step(s);

        if (did == STORE_WAIT)
            break;
        if (did != STORE_GO)
            end_op(s, did < 0 ? did : 0);
    }
    s->running = false;
}

void store_io_done(struct store *s, int status)
{
    hv_assert(s->first && !s->running);
    s->status = status;
    store_run(s);
}

void store_submit(struct store *s, struct store_op *op)
{
    hv_assert(op->kind < STORE_KINDS);
    op->next = NULL;
    if (s->first)
        s->last->next = op;
    else
        s->first = op;
    s->last = op;
    if (s->first == op)
        store_run(s);
}

/* ---- a map, into s->map ---- */

static int map_read(struct store *s)
{
    const struct store_entry *e = s->entry;
    uint8_t digest[32];

    if (s->status)
        return store_go(s, s->then);
    memcpy(s->map + (size_t)s->at * STORE_MAP_ENTRIES, s->page, STORE_PAGE);
    if (++s->at < e->map_pages)
        return ask(s, STORE_IO_READ, e->map + s->at, map_read);
    store_map_digest(s->map, e->map_pages, digest);
    s->status = memcmp(digest, e->map_digest, sizeof digest) ? -EBADMSG : 0;
    return store_go(s, s->then);
}

/* `then` finds s->status: 0, -EBADMSG, or what the disk said; and no map then. */
static int read_map(struct store *s, struct store_entry *e, store_step *then)
{
    s->entry = e;
    s->then = then;
    s->at = 0;
    s->status = 0;
    return e->map_pages ? ask(s, STORE_IO_READ, e->map, map_read) : store_go(s, then);
}

/* Each page of the object and its map, where they may be, and nobody else's. */
static bool map_is_good(const struct store *s, const struct store_entry *e, const uint64_t *used)
{
    uint32_t end = pages_in_use(s);

    for (uint32_t i = 0; i < store_pages(e->len); i++)
        if (s->map[i].page < STORE_FIRST || s->map[i].page >= end ||
            store_bit(used, s->map[i].page))
            return false;
    for (uint32_t i = 0; i < e->map_pages; i++)
        if (store_bit(used, e->map + i))
            return false;
    return true;
}

/* False: it names a page twice. */
static bool mark_map(const struct store *s, const struct store_entry *e, uint64_t *used)
{
    bool good = true;

    for (uint32_t i = 0; i < e->map_pages; i++)
        store_set_bit(used, e->map + i);
    for (uint32_t i = 0; i < store_pages(e->len); i++) {
        good &= !store_bit(used, s->map[i].page);
        store_set_bit(used, s->map[i].page);
    }
    return good;
}

/* ---- mount: both roots, then the maps of each, for the pages that they name ---- */

static struct store_root *root_of(struct store *s, uint32_t slot)
{
    return slot ? &s->next : &s->root;
}

static bool all_zero(const struct store_root *r)
{
    static const struct store_root zero;

    return memcmp(r, &zero, sizeof zero) == 0;
}

static int mount_end(struct store *s)
{
    if (s->current == 1)
        s->root = s->next;
    s->state = STORE_READY;
    return STORE_END;
}

static int map_next(struct store *s);

static int map_mounted(struct store *s)
{
    uint64_t *used = s->used[s->slot];
    bool good = !s->status && map_is_good(s, s->entry, used) && mark_map(s, s->entry, used);

    if (s->slot == s->current) {
        s->damaged[s->to] = !good;
        s->frozen |= s->status && s->status != -EBADMSG;
    }
    s->to++;
    return map_next(s);
}

/* The next object of this slot, or the first of the next one. A root that is none has no objects.
 */
static int map_next(struct store *s)
{
    struct store_root *r = root_of(s, s->slot);

    if (s->to < r->objects)
        return read_map(s, &r->entry[s->to], map_mounted);
    s->to = 0;
    return ++s->slot < 2 ? store_go(s, map_next) : mount_end(s);
}

static int choose(struct store *s)
{
    bool zero = !s->unread && all_zero(&s->root) && all_zero(&s->next);
    bool good[2] = { !store_root_wrong(&s->root, s->pages), !store_root_wrong(&s->next, s->pages) };

    if (!good[0] && !good[1] && !zero) {
        s->state = STORE_DAMAGED;
        return -EIO;
    }
    for (uint32_t i = 0; i < 2; i++)
        if (!good[i])
            memset(root_of(s, i), 0, sizeof s->root);
    s->frozen |= s->unread; /* perhaps the newest, which the disk reads another time */
    s->current = s->next.sequence > s->root.sequence;
    s->slot = s->to = 0;
    return map_next(s);
}

/* A page that cannot be read makes its root one that is not whole. */
static int root_read(struct store *s)
{
    char *to = (char *)root_of(s, s->at / STORE_SLOT_PAGES);

    to += s->at % STORE_SLOT_PAGES * STORE_PAGE;
    if (s->status)
        memset(s->page, 0, STORE_PAGE);
    s->unread |= s->status != 0;
    memcpy(to, s->page, STORE_PAGE);
    if (++s->at < STORE_FIRST)
        return ask(s, STORE_IO_READ, s->at, root_read);
    return choose(s);
}

static int mount(struct store *s)
{
    if (s->pages <= STORE_FIRST) {
        s->state = STORE_DAMAGED;
        return -EIO;
    }
    s->at = 0;
    return ask(s, STORE_IO_READ, 0, root_read);
}

/* ---- get ---- */

static int store_get_page(struct store *s)
{
    struct store_op *op = s->first;
    uint8_t check[12];

    if (s->status)
        return s->status;
    store_check(s->page, check);
    if (memcmp(check, s->map[s->at].check, sizeof check) != 0)
        return -EIO;
    op->page(op, s->at, s->page);
    if (++s->at == store_pages(s->entry->len))
        return STORE_END;
    return ask(s, STORE_IO_READ, s->map[s->at].page, store_get_page);
}

static int store_get_map(struct store *s)
{
    s->at = 0;
    if (s->status)
        return s->status == -EBADMSG ? -EIO : s->status;
    return s->entry->len ? ask(s, STORE_IO_READ, s->map[0].page, store_get_page) : STORE_END;
}

static struct store_entry *store_find(struct store_root *r, const char *name)
{
    for (uint32_t i = 0; i < r->objects; i++)
        if (strcmp(r->entry[i].name, name) == 0)
            return &r->entry[i];
    return NULL;
}

static bool is_damaged(const struct store *s, const struct store_entry *e)
{
    return s->damaged[e - s->root.entry];
}

static int store_get(struct store *s)
{
    struct store_op *op = s->first;
    struct store_entry *e = store_find(&s->root, op->name);

    if (!e)
        return -ENOENT;
    if (is_damaged(s, e))
        return -EIO;
    if (e->len > op->len)
        return -EFBIG;
    op->len = e->len;
    return read_map(s, e, store_get_map);
}

/* ---- put and remove: s->next becomes the root ---- */

static void commit(struct store *s)
{
    s->current = 1 - s->current;
    memcpy(s->used[s->current], s->taken, sizeof s->taken);
    s->damaged[s->to] = s->next.objects < s->root.objects && s->damaged[s->next.objects];
    s->root = s->next;
}

static int root_flushed(struct store *s)
{
    if (s->status)
        return s->status;
    commit(s);
    return STORE_END;
}

static int root_write(struct store *s)
{
    if (s->status)
        return s->status;
    if (s->at == store_pages(store_root_bytes(&s->next)))
        return ask(s, STORE_IO_FLUSH, 0, root_flushed);
    memcpy(s->page, (const char *)&s->next + (size_t)s->at * STORE_PAGE, STORE_PAGE);
    return ask(s, STORE_IO_WRITE, (1 - s->current) * STORE_SLOT_PAGES + s->at++, root_write);
}

/* From its first write on, the slot may hold the old root or the new one: both keep their pages. */
static int seal_root(struct store *s)
{
    struct store_root *r = &s->next;
    uint64_t *used = s->used[1 - s->current];

    if (s->status)
        return s->status;
    memcpy(r->magic, STORE_MAGIC, sizeof r->magic);
    r->version = STORE_VERSION;
    r->sequence++;
    r->pages = pages_in_use(s);
    r->written += (uint64_t)store_pages(store_root_bytes(r)) * STORE_PAGE;
    store_root_seal(r);
    for (uint32_t i = 0; i < STORE_BITMAP; i++)
        used[i] |= s->taken[i];
    s->at = 0;
    return root_write(s);
}

static int write_new(struct store *s, uint32_t page, store_step *then)
{
    s->next.written += STORE_PAGE;
    return ask(s, STORE_IO_WRITE, page, then);
}

static int store_put_map(struct store *s)
{
    const struct store_entry *e = s->entry;

    if (s->status)
        return s->status;
    if (s->at == e->map_pages)
        return ask(s, STORE_IO_FLUSH, 0, seal_root);
    memcpy(s->page, s->map + (size_t)s->at * STORE_MAP_ENTRIES, STORE_PAGE);
    return write_new(s, e->map + s->at++, store_put_map);
}

static int put_map_begin(struct store *s)
{
    struct store_entry *e = s->entry;

    s->at = 0;
    e->map = e->map_pages ? take_pages(s, e->map_pages) : 0;
    if (e->map_pages && !e->map)
        return -ENOSPC;
    store_map_digest(s->map, e->map_pages, e->map_digest);
    return store_put_map(s);
}

static bool is_kept(const struct store *s, const struct store_op *op)
{
    return s->at < s->old_pages && op->changed && !store_bit(op->changed, s->at);
}

static int store_put_page(struct store *s)
{
    struct store_op *op = s->first;
    struct store_map_entry *m;

    if (s->status)
        return s->status;
    for (; s->at < store_pages(op->len) && is_kept(s, op); s->at++)
        store_set_bit(s->taken, s->map[s->at].page);
    if (s->at == store_pages(op->len))
        return put_map_begin(s);
    m = &s->map[s->at];
    m->page = take_pages(s, 1);
    if (!m->page)
        return -ENOSPC;
    memset(s->page, 0, STORE_PAGE);
    op->page(op, s->at, s->page);
    store_check(s->page, m->check);
    s->at++;
    return write_new(s, m->page, store_put_page);
}

static int put_begin(struct store *s)
{
    struct store_entry *e = s->entry;
    size_t n = store_pages(s->first->len), end;

    e->len = s->first->len;
    e->map_pages = store_map_pages(e->len);
    e->sequence = s->next.sequence + 1;
    end = (size_t)e->map_pages * STORE_MAP_ENTRIES;
    memset(s->map + n, 0, (end - n) * sizeof s->map[0]);
    s->at = 0;
    s->status = 0;
    return store_put_page(s);
}

static int remove_entry(struct store *s)
{
    struct store_entry *last = &s->next.entry[--s->next.objects];

    if (s->entry != last)
        *s->entry = *last;
    memset(last, 0, sizeof *last);
    s->status = 0;
    return seal_root(s);
}

/* Pages of what is replaced are free once the new root is there. What is damaged keeps none. */
static int drop_old(struct store *s)
{
    const struct store_entry *e = s->entry;
    bool whole = e->map_pages && s->status == 0 && !s->damaged[s->to];

    if (s->status && s->status != -EBADMSG)
        return s->status;
    s->old_pages = whole ? store_pages(e->len) : 0;
    for (uint32_t i = 0; i < s->old_pages; i++)
        clear_bit(s->taken, s->map[i].page);
    for (uint32_t i = 0; whole && i < e->map_pages; i++)
        clear_bit(s->taken, e->map + i);
    return s->first->kind == STORE_REMOVE ? remove_entry(s) : put_begin(s);
}

static struct store_entry *add_entry(struct store_root *r, const char *name)
{
    struct store_entry *e;

    if (r->objects == STORE_OBJECTS)
        return NULL;
    e = &r->entry[r->objects++];
    memset(e, 0, sizeof *e);
    memcpy(e->name, name, strlen(name));
    return e;
}

static int store_update(struct store *s)
{
    const struct store_op *op = s->first;
    struct store_entry *e;

    if (s->frozen)
        return -EROFS;
    s->next = s->root;
    memcpy(s->taken, s->used[s->current], sizeof s->taken);
    e = store_find(&s->next, op->name);
    if (!e && op->kind == STORE_REMOVE)
        return -ENOENT;
    if (!store_name_valid(op->name))
        return -EINVAL;
    if (op->kind == STORE_PUT && op->len > STORE_OBJECT_MAX)
        return -EFBIG;
    if (!e)
        e = add_entry(&s->next, op->name);
    if (!e)
        return -ENOSPC;
    s->to = (uint32_t)(e - s->next.entry);
    s->entry = e;
    s->status = 0;
    return s->damaged[s->to] ? drop_old(s) : read_map(s, e, drop_old);
}

static int begin_op(struct store *s)
{
    static store_step *const kinds[STORE_KINDS] = { [STORE_MOUNT] = mount,
                                                    [STORE_GET] = store_get,
                                                    [STORE_PUT] = store_update,
                                                    [STORE_REMOVE] = store_update };
    enum store_kind kind = s->first->kind;

    if (kind != STORE_MOUNT && s->state != STORE_READY)
        return -ENODEV;
    return kinds[kind](s);
}

/* ---- what others ask ---- */

void store_open(struct store *s, void (*done)(struct store_op *, int status))
{
    s->step = begin_op;
    s->mount = (struct store_op){ .kind = STORE_MOUNT, .done = done };
    store_submit(s, &s->mount);
}

bool store_object(const struct store *s, uint32_t i, struct store_object *o)
{
    const struct store_entry *e = &s->root.entry[i];

    if (s->state != STORE_READY || i >= s->root.objects)
        return false;
    *o = (struct store_object){ e->name, e->len, e->sequence, s->damaged[i] };
    return true;
}

void store_space(const struct store *s, struct store_space *p)
{
    uint32_t end = pages_in_use(s), used = STORE_FIRST;

    for (uint32_t i = STORE_FIRST; i < end; i++)
        used += store_bit(s->used[0], i) || store_bit(s->used[1], i);
    *p = (struct store_space){ (uint64_t)end * STORE_PAGE, (uint64_t)(end - used) * STORE_PAGE,
                               s->root.sequence, s->root.written };
}
