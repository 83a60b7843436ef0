/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * start.c: the last boot step: defines the guests of trivet.conf and starts those that start by
 * themselves.
 */
#include <hv/assert.h>
#include <hv/config.h>
#include <hv/files.h>
#include <hv/kernel.h>
#include <hv/log.h>
#include <hv/mgmt.h>
#include <hv/start.h>
#include <hv/vcpu.h>
#include <hv/vm.h>
#include <hv/words.h>

static bool any_engine(void)
{
    for (enum isa isa = 0; isa < ISA_COUNT; isa++)
        if (vcpu_backend(isa))
            return true;
    return false;
}

/*
 * A guest for another ISA is left out, with one line that says so. Where nothing runs at all, each
 * guest may be tried and tells why not.
 */
static bool for_this_machine(const struct guest_config *g)
{
    uint64_t len = 0;
    const void *file = file_find(g->kernel, &len);
    enum isa isa = guest_isa(g, file, len);

    if (isa == ISA_COUNT || vcpu_backend(isa) || !any_engine())
        return true;
    log_info("%s: left out: it is for %s, which this machine does not run", g->name,
             isa_names[isa]);
    return false;
}

static unsigned start_all(void)
{
    unsigned started = 0;
    struct vm *vm;

    for (unsigned i = 0; i < the_config.nguests; i++) {
        const struct guest_config *g = &the_config.guest[i];
        int err;

        if (!for_this_machine(g))
            continue;
        err = vm_define(g, &vm);
        if (err)
            log_err("%s: cannot be defined: %s", g->name, error_text(err));
        else if (g->bad)
            log_err("%s: left out: it has an error in trivet.conf", g->name);
        else if (g->autostart && vm_start(vm))
            log_err("%s: cannot start: %s", g->name, vm->why);
        else
            started += g->autostart;
    }
    return started;
}

int guests_start(void)
{
    unsigned started = start_all();

    assert_cpu0();
    log_info("starting %u of %u guests; `help` lists the commands, `console NAME` shows a guest",
             started, the_config.nguests);
    log_set_console_level(the_config.host.log);
    shell_start();
    return 0;
}
