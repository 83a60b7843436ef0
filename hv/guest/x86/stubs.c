#include "load.h"
bool load_linux_probe(const struct load *l) { (void)l; return false; }
bool load_multiboot_probe(const struct load *l) { (void)l; return false; }
bool load_multiboot2_probe(const struct load *l) { (void)l; return false; }
int load_linux(struct load *l, struct load_entry *e) { (void)e; return load_bad(l, "not yet"); }
int load_multiboot(struct load *l, struct load_entry *e) { (void)e; return load_bad(l, "not yet"); }
int load_multiboot2(struct load *l, struct load_entry *e) { (void)e; return load_bad(l, "not yet"); }
int x86_acpi_build(struct vm *vm, const struct guest_config *c, uint64_t *rsdp) { (void)vm; (void)c; *rsdp = 0; return 0; }
