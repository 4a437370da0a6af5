// Native twin of the hot path: the same work in C, a yardstick to measure against in one run.
// Structs, pointers and doubly linked lists, as a kernel would write it. No locks, refcounts or traps; register accesses
// are counted as the library counts them. What an iteration of each scenario is stands at s1 to s6.
// `npm run bench -- --twin bench/native-twin.c` builds it (cc -O2) and asks it in turn with the library:
// stdin has a line "SCENARIO ITERATIONS [LRS]" a round, stdout answers "NS_PER_ITERATION CPU_NS_PER_ITERATION CHECKSUM".
// 4 vCPUs, 64 SPIs, 64 LPIs, every interrupt enabled, group 1, priority ((i * 37) % 28) << 3 for index i (32 private ones a
// vCPU first, then SPIs, then LPIs); SPIs alternate edge (even) and level (odd), all target vCPU 0; both groups enabled,
// PMR 0xf0; 5 preemption bits. Entry publishes the mode and looks at the requests again, as a kick relies on.
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <stdint.h>
typedef uint64_t u64;
typedef uint32_t u32;
typedef uint8_t u8;
typedef int32_t i32;
#ifndef API
#define API __attribute__((noinline))
#endif
#define NV 4
#define NSPI 64
#define NLPI 64
#define NIRQ (NV * 32 + NSPI + NLPI)
#define LR_ACT (1ull << 63)
#define LR_PEND (1ull << 62)
#define LR_ST (3ull << 62)
#define LR_HW (1ull << 61)
#define LR_GRP (1ull << 60)
#define LR_EOI (1ull << 41)
struct lh {
  struct lh *n, *p;
};
struct vcpu;
struct irq {
  struct lh ap;
  struct vcpu *vcpu, *target;
  u32 intid, hwintid;
  u8 prio;
  _Bool group, enabled, latch, level, active, edge, hw, in_lr;
};
struct vcpu {
  struct lh ap_list;
  int id;
  u8 kicked, loaded, mode;
  u32 requests, irqs_off, preempt_off;
  u64 cost_sysreg; // system-register accesses, the cost model's counter
  int used;
  u32 elrsr;
  u64 s_lr[16];
  u32 s_hcr, s_vmcr, s_ap0[4], s_ap1[4];
  u32 acks;
  u64 lr[16];
  u32 hcr, vmcr, ap0[4], ap1[4];
  u32 pdeact;
  struct irq priv[32];
};
struct vm {
  int nlr, nap, prebits;
  u32 ctlr;
  struct vcpu vcpu[NV];
  struct irq spi[NSPI], lpi[NLPI];
};
static struct vm VM_;
static struct vm *vm = &VM_;
#define irq_of(l) ((struct irq *)(l))
static inline void l_init(struct lh *l) {
  l->n = l->p = l;
}
static inline void l_add_tail(struct lh *e, struct lh *h) {
  e->p = h->p;
  e->n = h;
  h->p->n = e;
  h->p = e;
}
static inline void l_del(struct lh *e) {
  e->p->n = e->n;
  e->n->p = e->p;
  e->n = e->p = 0;
}
static inline struct irq *by_idx(int i) {
  if (i < NV * 32)
    return &vm->vcpu[i >> 5].priv[i & 31];
  i -= NV * 32;
  if (i < NSPI)
    return &vm->spi[i];
  return &vm->lpi[i - NSPI];
}
static inline struct irq *get_irq(struct vcpu *v, u32 intid) {
  if (intid < 32)
    return &v->priv[intid];
  if (intid < 32 + NSPI)
    return &vm->spi[intid - 32];
  return &vm->lpi[intid - 8192];
}
API void m_init(int nlr, int mode) {
  __builtin_memset(vm, 0, sizeof *vm);
  vm->nlr = nlr;
  vm->nap = 1;
  vm->prebits = 5;
  vm->ctlr = 1;
  for (int k = 0; k < NV; k++) {
    struct vcpu *v = &vm->vcpu[k];
    v->id = k;
    l_init(&v->ap_list);
    v->loaded = 1;
    v->s_vmcr = 3u | (3u << 18) | (2u << 21) | (0xf0u << 24);
    v->vmcr = v->s_vmcr | 8; // VFIQEn is RES1
  }
  for (int i = 0; i < NIRQ; i++) {
    struct irq *q = by_idx(i);
    q->enabled = 1;
    q->group = 1;
    q->prio = ((i * 37) % 28) << 3;
    if (i < NV * 32) {
      q->intid = i & 31;
      q->target = &vm->vcpu[i >> 5];
      q->edge = (i & 31) < 16 || !(i & 1);
    } else if (i < NV * 32 + NSPI) {
      q->intid = 32 + i - NV * 32;
      q->edge = !(i & 1);
      q->target = &vm->vcpu[mode ? (i & 3) : 0];
      if (mode && (i % 7) == 3) {
        q->hw = 1;
        q->hwintid = q->intid + 100;
      }
    } else {
      q->intid = 8192 + i - NV * 32 - NSPI;
      q->edge = 1;
      q->target = &vm->vcpu[mode ? (i & 3) : 0];
    }
    if (mode && (i % 19) == 18)
      q->group = 0;
  }
}
static inline _Bool is_pend(struct irq *q) {
  return q->edge ? q->latch : (q->latch || q->level);
}
static struct vcpu *oracle(struct irq *q) {
  if (q->active)
    return q->vcpu ? q->vcpu : q->target;
  if (q->enabled && is_pend(q)) {
    if (!vm->ctlr)
      return 0;
    return q->target;
  }
  return 0;
}
static void queue_irq(struct irq *q) {
  if (q->vcpu) {
    q->vcpu->kicked = 1;
    return;
  }
  struct vcpu *t = oracle(q);
  if (!t)
    return;
  l_add_tail(&q->ap, &t->ap_list);
  q->vcpu = t;
  t->kicked = 1;
}
API void inject(int idx, int level) {
  struct irq *q = by_idx(idx);
  if (q->edge) {
    if (!level)
      return;
    q->latch = 1;
  } else {
    if (q->level == !!level)
      return;
    q->level = !!level;
    if (!level)
      return;
  }
  queue_irq(q);
}
API void sgi1r(int src, u64 val) {
  u32 sgi = (val >> 24) & 15;
  u32 tl = val & 0xffff;
  _Bool irm = (val >> 40) & 1;
  for (int k = 0; k < NV; k++) {
    if (irm ? k == src : !((tl >> k) & 1))
      continue;
    struct irq *q = &vm->vcpu[k].priv[sgi];
    q->latch = 1;
    queue_irq(q);
  }
}
API void set_enable(int idx, int en) {
  struct irq *q = by_idx(idx);
  q->enabled = en;
  if (en)
    queue_irq(q);
}
API void set_target(int idx, int t) {
  by_idx(idx)->target = &vm->vcpu[t];
}
static int cmp(struct irq *a, struct irq *b) {
  if (a->active || b->active)
    return (int)b->active - (int)a->active;
  int pa = a->enabled && is_pend(a), pb = b->enabled && is_pend(b);
  if (!pa || !pb)
    return pb - pa;
  return (int)a->prio - (int)b->prio;
}
static void sort_list(struct lh *h) {
  struct lh *e = h->n->n;
  while (e != h) {
    struct lh *nx = e->n, *p = e->p;
    if (p != h && cmp(irq_of(e), irq_of(p)) < 0) {
      while (p != h && cmp(irq_of(e), irq_of(p)) < 0)
        p = p->p;
      e->p->n = e->n;
      e->n->p = e->p;
      e->p = p;
      e->n = p->n;
      p->n->p = e;
      p->n = e;
    }
    e = nx;
  }
}
static void populate(struct vcpu *v, struct irq *q, int n) {
  u64 val = q->intid;
  _Bool allow = 1;
  if (q->active)
    val |= LR_ACT;
  if (q->hw) {
    val |= LR_HW | ((u64)(q->hwintid & 0x1fff) << 32);
    if (q->active)
      allow = 0;
  } else if (!q->edge) {
    val |= LR_EOI;
    if (q->active)
      allow = 0;
  }
  if (allow && is_pend(q)) {
    val |= LR_PEND;
    if (q->edge)
      q->latch = 0;
  }
  if (q->hw && !q->edge && (val & LR_ST) == LR_PEND)
    q->level = 0;
  if (q->group)
    val |= LR_GRP;
  val |= (u64)q->prio << 48;
  q->in_lr = 1;
  v->s_lr[n] = val;
}
static void flush(struct vcpu *v) {
  v->s_hcr = 1;
  v->used = 0;
  if (v->ap_list.n == &v->ap_list)
    return;
  int depth = 0;
  for (struct lh *l = v->ap_list.n; l != &v->ap_list; l = l->n)
    depth++;
  if (depth > vm->nlr) {
    sort_list(&v->ap_list);
    v->s_hcr |= 2; // underflow maintenance
  }
  int c = 0;
  for (struct lh *l = v->ap_list.n; l != &v->ap_list; l = l->n) {
    struct irq *q = irq_of(l);
    if (oracle(q) == v)
      populate(v, q, c++);
    if (c == vm->nlr)
      break;
  }
  v->used = c;
}
static void fold(struct vcpu *v) {
  v->s_hcr = 0;
  for (int i = 0; i < v->used; i++) {
    u64 val = v->s_lr[i];
    struct irq *q = get_irq(v, (u32)val);
    q->in_lr = 0;
    q->active = val >> 63;
    if (q->edge) {
      if (val & LR_PEND)
        q->latch = 1;
    } else {
      if (!(val & LR_PEND))
        q->latch = 0;
      else if (q->hw)
        q->level = 1;
    }
    if (!(val & (LR_ST | LR_HW)) && (val & LR_EOI))
      v->acks++;
  }
  v->used = 0;
  for (struct lh *l = v->ap_list.n, *n; l != &v->ap_list; l = n) {
    n = l->n;
    struct irq *q = irq_of(l);
    struct vcpu *t = oracle(q);
    if (t == v)
      continue;
    l_del(l);
    q->vcpu = 0;
    if (t) {
      l_add_tail(l, &t->ap_list);
      q->vcpu = t;
      t->kicked = 1;
    }
  }
}
API void enter(int k) {
  struct vcpu *v = &vm->vcpu[k];
  for (;;) { // publish the mode, then look at the requests again: the protocol a kick relies on
    v->kicked = 0;
    v->requests = 0;
    v->preempt_off = v->irqs_off = 1;
    flush(v);
    v->mode = 1;
    if (!*(volatile u32 *)&v->requests)
      break;
    v->mode = 0;
    v->preempt_off = v->irqs_off = 0;
  }
  v->hcr = v->s_hcr;
  if (v->used)
    v->cost_sysreg += 1 + v->used;
  for (int i = 0; i < v->used; i++)
    v->lr[i] = v->s_lr[i];
}
static u32 calc_elrsr(struct vcpu *v) {
  u32 r = 0;
  for (int i = 0; i < vm->nlr; i++) {
    u64 x = v->lr[i];
    if (!(x & LR_ST) && ((x & LR_HW) || !(x & LR_EOI)))
      r |= 1u << i;
  }
  return r;
}
API void vexit(int k) {
  struct vcpu *v = &vm->vcpu[k];
  v->s_hcr = v->hcr;
  v->hcr = 0;
  v->mode = 0;
  if (v->used) {
    u32 e = v->elrsr = calc_elrsr(v);
    // ELRSR, HCR, every list register cleared, and those read that are not empty.
    v->cost_sysreg += 2 + 2 * v->used - __builtin_popcount(e & ((1u << v->used) - 1));
    for (int i = 0; i < v->used; i++) {
      if (e >> i & 1)
        v->s_lr[i] &= ~LR_ST;
      else
        v->s_lr[i] = v->lr[i];
      v->lr[i] = 0;
    }
  }
  fold(v);
  v->irqs_off = v->preempt_off = 0;
}
static int hp_lr(struct vcpu *v) {
  int b = -1;
  u32 bp = 256;
  for (int i = 0; i < vm->nlr; i++) {
    u64 x = v->lr[i];
    if ((x & LR_ST) != LR_PEND)
      continue;
    if (!(v->vmcr >> ((x >> 60) & 1) & 1))
      continue;
    u32 p = (x >> 48) & 0xff;
    if (p < bp) {
      bp = p;
      b = i;
    }
  }
  return b;
}
static u32 rpr(struct vcpu *v) {
  for (int i = 0; i < vm->nap; i++) {
    u32 a = v->ap0[i] | v->ap1[i];
    if (a)
      return (i * 32 + __builtin_ctz(a)) << (8 - vm->prebits);
  }
  return 0xff;
}
static u32 pmask(struct vcpu *v, int g) {
  u32 b = g ? (v->vmcr >> 18) & 7 : ((v->vmcr >> 21) & 7) + 1;
  return (0xffu << b) & 0xff;
}
static _Bool sig(struct vcpu *v, u64 x) {
  u32 p = (x >> 48) & 0xff;
  if (p >= v->vmcr >> 24)
    return 0;
  return (p & pmask(v, (x >> 60) & 1)) < rpr(v);
}
API int virq(int k) {
  struct vcpu *v = &vm->vcpu[k];
  if (!(v->hcr & 1))
    return 0;
  int i = hp_lr(v);
  if (i < 0)
    return 0;
  return sig(v, v->lr[i]);
}
API u32 iar1(int k) {
  struct vcpu *v = &vm->vcpu[k];
  int i = hp_lr(v);
  if (i < 0)
    return 1023;
  u64 x = v->lr[i];
  if (!(x & LR_GRP) || !sig(v, x))
    return 1023;
  u32 id = (u32)x;
  v->lr[i] = id < 8192 ? (x & ~LR_ST) | LR_ACT : x & ~LR_ST;
  u32 b = (((x >> 48) & 0xff) & pmask(v, 1)) >> (8 - vm->prebits);
  v->ap1[b >> 5] |= 1u << (b & 31);
  return id;
}
API void eoir1(int k, u32 id) {
  struct vcpu *v = &vm->vcpu[k];
  if (id >= 1020 && id <= 1023)
    return;
  int hit = 0;
  for (int i = 0; i < vm->nap; i++) {
    u32 a0 = v->ap0[i], a1 = v->ap1[i];
    if (!(a0 | a1))
      continue;
    u32 c0 = a0 ? __builtin_ctz(a0) : 32, c1 = a1 ? __builtin_ctz(a1) : 32;
    if (c0 < c1)
      v->ap0[i] = a0 & (a0 - 1);
    else
      v->ap1[i] = a1 & (a1 - 1);
    hit = 1;
    break;
  }
  if (!hit || (v->vmcr & (1u << 9)) || id >= 8192)
    return;
  for (int i = 0; i < vm->nlr; i++) {
    u64 x = v->lr[i];
    if ((u32)x == id && (x & LR_ACT)) {
      v->lr[i] = x & ~LR_ACT;
      if (x & LR_HW)
        v->pdeact = v->pdeact * 31 + ((x >> 32) & 0x1fff);
      return;
    }
  }
  v->hcr += 1u << 27;
}
API u32 hppir1(int k) {
  struct vcpu *v = &vm->vcpu[k];
  int i = hp_lr(v);
  if (i < 0 || !(v->lr[i] & LR_GRP))
    return 1023;
  return (u32)v->lr[i];
}
API void w_pmr(int k, u32 x) {
  struct vcpu *v = &vm->vcpu[k];
  v->vmcr = (v->vmcr & 0x00fffffe) | ((x & 0xf8) << 24) | (x & 1);
}
API u32 misr(int k) {
  struct vcpu *v = &vm->vcpu[k];
  u32 n = 0, e = 0, r = 0;
  for (int i = 0; i < vm->nlr; i++) {
    u64 x = v->lr[i];
    if (x & LR_ST)
      n++;
    else if ((x & LR_EOI) && !(x & LR_HW))
      e |= 1u << i;
  }
  if (e)
    r |= 1;
  if ((v->hcr & 2) && n <= 1)
    r |= 2;
  if ((v->hcr & 4) && (v->hcr >> 27))
    r |= 4;
  return r | (e << 16);
}
API void vput(int k) {
  struct vcpu *v = &vm->vcpu[k];
  v->s_vmcr = v->vmcr;
  v->cost_sysreg += 2 + 2 * vm->nap; // VMCR, VTR and the active priorities
  for (int i = 0; i < vm->nap; i++) {
    v->s_ap0[i] = v->ap0[i];
    v->s_ap1[i] = v->ap1[i];
    v->ap0[i] = v->ap1[i] = 0;
  }
  v->vmcr = 0;
  v->loaded = 0;
}
API void vload(int k) {
  struct vcpu *v = &vm->vcpu[k];
  v->vmcr = v->s_vmcr;
  v->cost_sysreg += 3 + 2 * vm->nap; // and HCR, which traps ICC_DIR_EL1
  for (int i = 0; i < vm->nap; i++) {
    v->ap0[i] = v->s_ap0[i];
    v->ap1[i] = v->s_ap1[i];
  }
  v->loaded = 1;
}
API int runnable(int k) {
  struct vcpu *v = &vm->vcpu[k];
  u32 pmr = v->s_vmcr >> 24; // the shadow: fresh because the halt path put first
  for (struct lh *l = v->ap_list.n; l != &v->ap_list; l = l->n) {
    struct irq *q = irq_of(l);
    if (q->enabled && is_pend(q) && !q->active && q->prio < pmr)
      return 1;
  }
  return 0;
}
// MMIO
struct reg {
  u32 off, len, bits;
  u32 (*rd)(u32 intid);
};
static struct irq *gi(u32 id) {
  return id < 32 ? &vm->vcpu[0].priv[id] : id < 32 + NSPI ? &vm->spi[id - 32] : 0;
}
#define GATHER(name, expr)                                                                                                       \
  static u32 name(u32 id) {                                                                                                      \
    u32 r = 0;                                                                                                                   \
    for (int i = 0; i < 32; i++) {                                                                                               \
      struct irq *q = gi(id + i);                                                                                                \
      if (q && (expr))                                                                                                           \
        r |= 1u << i;                                                                                                            \
    }                                                                                                                            \
    return r;                                                                                                                    \
  }
GATHER(r_grp, q->group) GATHER(r_en, q->enabled) GATHER(r_pend, is_pend(q)) GATHER(r_act, q->active) static u32 r_prio(u32 id) {
  u32 r = 0;
  for (int i = 0; i < 4; i++) {
    struct irq *q = gi(id + i);
    if (q)
      r |= (u32)q->prio << (8 * i);
  }
  return r;
}
static u32 r_cfg(u32 id) {
  u32 r = 0;
  for (int i = 0; i < 16; i++) {
    struct irq *q = gi(id + i);
    if (q && q->edge)
      r |= 2u << (2 * i);
  }
  return r;
}
static u32 r_ctlr(u32 id) {
  return vm->ctlr | 0x50;
}
static u32 r_typer(u32 id) {
  return 2 | (9u << 19);
}
static u32 r_route(u32 id) {
  struct irq *q = gi(id);
  return q && id >= 32 ? q->target->id : 0;
}
static const struct reg regs[] = {{0x0, 4, 0, r_ctlr},       {0x4, 4, 0, r_typer},     {0x80, 0x80, 1, r_grp},
                                  {0x100, 0x80, 1, r_en},    {0x180, 0x80, 1, r_en},   {0x200, 0x80, 1, r_pend},
                                  {0x280, 0x80, 1, r_pend},  {0x300, 0x80, 1, r_act},  {0x380, 0x80, 1, r_act},
                                  {0x400, 0x400, 8, r_prio}, {0xc00, 0x100, 2, r_cfg}, {0x6000, 0x2000, 64, r_route}};
API u32 mmio_read(u32 off) {
  int lo = 0, hi = sizeof regs / sizeof regs[0] - 1;
  while (lo <= hi) {
    int m = (lo + hi) >> 1;
    const struct reg *g = &regs[m];
    if (off < g->off)
      hi = m - 1;
    else if (off >= g->off + g->len)
      lo = m + 1;
    else
      return g->rd(g->bits ? ((off - g->off) * 8) / g->bits : 0);
  }
  return 0;
}

#define SCN_ATTR static __attribute__((noinline))
SCN_ATTR void scn_prep(int s) {
  if (s == 3 || s == 4 || s == 6)
    enter(0);
}
// hypercall: nothing pending
SCN_ATTR u32 s1(u32 i) {
  enter(0);
  u32 r = virq(0);
  vexit(0);
  return r;
}
// spi: inject SPI i & 63, enter, acknowledge, lower the line, end, exit
SCN_ATTR u32 s2(u32 i) {
  int q = NV * 32 + (i & 63);
  inject(q, 1);
  enter(0);
  u32 r = virq(0);
  u32 id = iar1(0);
  inject(q, 0);
  eoir1(0, id);
  vexit(0);
  return r + id;
}
// ipi: vCPU 0 exits on a write of ICC_SGI1R_EL1 and enters again; vCPU 1 takes the SGI (2 exits)
SCN_ATTR u32 s3(u32 i) {
  vexit(0);
  sgi1r(0, 2ull | ((u64)(i & 15) << 24));
  enter(0);
  enter(1);
  u32 r = virq(1);
  u32 id = iar1(1);
  eoir1(1, id);
  vexit(1);
  return r + id;
}
// wfi: exit, put, runnable? no, inject an SPI, runnable? yes, load, enter, take it
SCN_ATTR u32 s4(u32 i) {
  int q = NV * 32 + (i & 63);
  vexit(0);
  vput(0);
  u32 r = runnable(0);
  inject(q, 1);
  r += runnable(0) * 2;
  vload(0);
  enter(0);
  r += virq(0);
  u32 id = iar1(0);
  inject(q, 0);
  eoir1(0, id);
  return r + id;
}
// overflow: 8 edge SPIs and 4 list registers, two entries with 4 each
SCN_ATTR u32 s5(u32 i) {
  u32 r = 0;
  for (u32 j = 0; j < 8; j++)
    inject(NV * 32 + (((i + j) * 2) & 63), 1);
  for (int h = 0; h < 2; h++) {
    enter(0);
    r += virq(0);
    for (int j = 0; j < 4; j++) {
      u32 id = iar1(0);
      r += id;
      eoir1(0, id);
    }
    vexit(0);
  }
  return r;
}
// mmio_read_vgic: exit, decode and read GICD_ISENABLER<1 + (i & 1)>, enter
SCN_ATTR u32 s6(u32 i) {
  vexit(0);
  u32 r = mmio_read(0x104 + 4 * (i & 1));
  enter(0);
  return r;
}
SCN_ATTR u32 scn_run(int s, long n) {
  u32 r = 0;
  switch (s) {
  case 1:
    for (long i = 0; i < n; i++)
      r += s1(i);
    break;
  case 2:
    for (long i = 0; i < n; i++)
      r += s2(i);
    break;
  case 3:
    for (long i = 0; i < n; i++)
      r += s3(i);
    break;
  case 4:
    for (long i = 0; i < n; i++)
      r += s4(i);
    break;
  case 5:
    for (long i = 0; i < n; i++)
      r += s5(i);
    break;
  case 6:
    for (long i = 0; i < n; i++)
      r += s6(i);
    break;
  }
  return r;
}

// The state after a round, so that both sides have done the same work: of each vCPU the list registers, the live and the
// shadow registers, and how many accesses were counted.
static u32 mix(u32 sum, u32 x) {
  return sum * 31 + x;
}
static u32 scn_state(u32 r) {
  u64 cost = 0;
  for (int k = 0; k < NV; k++) {
    struct vcpu *v = &vm->vcpu[k];
    for (int i = 0; i < vm->nlr; i++)
      r = mix(mix(r, (u32)v->lr[i]), (u32)(v->lr[i] >> 32));
    r = mix(mix(r, v->vmcr), v->s_vmcr);
    r = mix(mix(r, v->ap0[0]), v->ap1[0]);
    r = mix(mix(r, v->s_ap0[0]), v->s_ap1[0]);
    cost += v->cost_sysreg;
  }
  return mix(r, (u32)cost);
}
static void scn_forget_cost(void) {
  for (int k = 0; k < NV; k++)
    vm->vcpu[k].cost_sysreg = 0;
}

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}
int main(void) {
  char line[128];
  while (fgets(line, sizeof line, stdin)) {
    int s, lrs = 4;
    long n;
    if (sscanf(line, "%d %ld %d", &s, &n, &lrs) < 2)
      return 2;
    m_init(lrs, 0);
    scn_prep(s);
    scn_forget_cost();
    double cpu = now(CLOCK_PROCESS_CPUTIME_ID), wall = now(CLOCK_MONOTONIC);
    u32 r = scn_run(s, n);
    wall = now(CLOCK_MONOTONIC) - wall;
    cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("%.3f %.3f %u\n", wall / n, cpu / n, scn_state(r));
    fflush(stdout);
  }
  return 0;
}
