/* SPDX-License-Identifier: BSD-2-Clause */
/* fdt.c: device trees for guests of any ISA; what they say is in each ISA's fdt.c. */
#include <hv/fdt_write.h>
#include <stdio.h>
#include <string.h>

static void dt_keep(struct dt_tree *t, int err)
{
    if (t->err == 0 && err < 0)
        t->err = err;
}

void dt_begin(struct dt_tree *t, const char *name) { dt_keep(t, fdt_begin_node(t->fdt, name)); }
void dt_end(struct dt_tree *t) { dt_keep(t, fdt_end_node(t->fdt)); }
void dt_flag(struct dt_tree *t, const char *name) { dt_bytes(t, name, "", 0); }

void dt_create(struct dt_tree *t, void *at, size_t room)
{
    *t = (struct dt_tree){ .fdt = at };
    dt_keep(t, room <= INT32_MAX ? fdt_create(at, (int)room) : -FDT_ERR_BADVALUE);
    dt_keep(t, fdt_finish_reservemap(at));
    dt_begin(t, "");
}

int dt_finish(struct dt_tree *t)
{
    dt_end(t);
    dt_keep(t, fdt_finish(t->fdt));
    return t->err ? t->err : (int)fdt_totalsize(t->fdt);
}

void dt_begin_at(struct dt_tree *t, const char *name, uint64_t unit)
{
    char full[40];

    snprintf(full, sizeof full, "%s@%llx", name, (unsigned long long)unit);
    dt_begin(t, full);
}

void dt_bytes(struct dt_tree *t, const char *name, const void *p, size_t n)
{
    dt_keep(t, n <= INT32_MAX ? fdt_property(t->fdt, name, p, (int)n) : -FDT_ERR_BADVALUE);
}

void dt_text(struct dt_tree *t, const char *name, const char *s)
{
    dt_bytes(t, name, s, strlen(s) + 1);
}

void dt_cells(struct dt_tree *t, const char *name, const uint32_t *v, size_t n)
{
    fdt32_t be[DT_CELLS_MAX];

    if (n > DT_CELLS_MAX) {
        dt_keep(t, -FDT_ERR_NOSPACE);
        return;
    }
    for (size_t i = 0; i < n; i++)
        be[i] = cpu_to_fdt32(v[i]);
    dt_bytes(t, name, be, n * sizeof be[0]);
}

void dt_words64(struct dt_tree *t, const char *name, const uint64_t *v, size_t n)
{
    uint32_t c[DT_CELLS_MAX];

    if (n > DT_CELLS_MAX / 2) {
        dt_keep(t, -FDT_ERR_NOSPACE);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        /* cppcheck-suppress objectIndex ; of one value n is 1 */
        uint64_t word = v[i];

        c[2 * i] = (uint32_t)(word >> 32);
        c[2 * i + 1] = (uint32_t)word;
    }
    dt_cells(t, name, c, 2 * n);
}

void dt_reg(struct dt_tree *t, uint64_t base, uint64_t len)
{
    const uint64_t v[] = { base, len };

    dt_words64(t, "reg", v, ARRAY_SIZE(v));
}

void dt_two_cells(struct dt_tree *t)
{
    DT_CELLS(t, "#address-cells", 2);
    DT_CELLS(t, "#size-cells", 2);
}
