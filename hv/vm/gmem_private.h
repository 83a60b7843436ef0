/* SPDX-License-Identifier: BSD-2-Clause */
/* gmem_private.h: what gmem.c, domain.c and dirty.c share. */
#pragma once
#include <hv/gmem.h>

/* NULL: neither RAM nor ROM */
const struct gmem_piece *gmem_find_piece(const struct gmem *, uint64_t at);

/* domain.c: the same in every domain; on an error in none. With the lock held. */
int must_check domains_map(struct gmem *, gpa_t, hpa_t, uint64_t len, unsigned prot, enum memtype);
int must_check domains_unmap(struct gmem *, gpa_t, uint64_t len);

/* dirty.c, where there is a log: we are about to write to [off, off+len) of the piece */
void gmem_log_note(const struct gmem *, const struct gmem_piece *, uint64_t off, uint64_t len);
