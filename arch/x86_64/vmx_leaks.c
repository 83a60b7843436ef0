/*
 * vmx_leaks.c: what a CPU needs against speculation that crosses VM entries and exits. Intel SDM volume 4, IA32_ARCH_CAPABILITIES.
 *
 * Trivet is not built with retpolines: IBRS keeps guests from steering its indirect branches. Where a CPU has none, the RSB is not
 * filled either: that would close the small door beside the open one.
 */
#include "vmx_leaks.h"

#define BIT(n) (1ull << (n))
enum { L7_RTM = 11, L7_MD_CLEAR = 10, L7_IBRS = 26, L7_L1D_FLUSH = 28, L72_BHI_CTRL = 4 };
enum { RDCL_NO = 0, IBRS_ALL = 1, SKIP_L1DFL = 3, MDS_NO = 5, TAA_NO = 8, SBDR_SSDP_NO = 13, FBSDP_NO = 14, PSDP_NO = 15, FB_CLEAR = 17, PBRSB_NO = 24 };
#define STALE_NO (BIT(SBDR_SSDP_NO) | BIT(FBSDP_NO) | BIT(PSDP_NO))
#define SPEC_IBRS 1ull
#define SPEC_BHI_DIS_S (1ull << 10)

struct vmx_leaks vmx_leaks_decide(struct leak_facts f)
{
    bool ibrs = f.leaf7_edx >> L7_IBRS & 1, all = ibrs && (f.arch_caps & BIT(IBRS_ALL));
    bool l1tf = !(f.arch_caps & (BIT(RDCL_NO) | BIT(SKIP_L1DFL))), flush = f.leaf7_edx >> L7_L1D_FLUSH & 1;
    bool mds = !(f.arch_caps & BIT(MDS_NO)), taa = (f.leaf7_ebx >> L7_RTM & 1) && !(f.arch_caps & BIT(TAA_NO));
    bool stale = (f.arch_caps & STALE_NO) != STALE_NO && (f.arch_caps & BIT(FB_CLEAR)), clear = f.leaf7_edx >> L7_MD_CLEAR & 1;
    struct vmx_leaks l = { 0 };

    l.fill_rsb = ibrs && !(all && (f.arch_caps & BIT(PBRSB_NO)));
    l.spec_ctrl = ibrs ? SPEC_IBRS | (all && (f.leaf7_2_edx >> L72_BHI_CTRL & 1) ? SPEC_BHI_DIS_S : 0) : 0;
    l.ibrs_switch = ibrs && !all;
    l.flush_l1d = l1tf && flush;
    l.verw = (mds || taa || stale) && clear && !l.flush_l1d;   /* the flush clears the buffers too */
    l.at_entry = l.ibrs_switch || l.flush_l1d || l.verw;
    l.l1d_open = l1tf && !flush;
    l.buffers_open = (mds || taa) && !clear;
    l.steer_open = !ibrs;
    return l;
}
