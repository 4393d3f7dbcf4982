// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//
// Steers each frame: to an AF_XDP socket of the queue it arrived on, to the
// kernel's stack, or nowhere. Four stages, of which the first that knows decides:
//
//     management   what the host itself lives on goes to the kernel
//     flows        a hash of exact 5-tuples
//     rules        an ordered list, all of it matched at once
//     default      for the rest
//
// Slot queue * xsks_per_queue + n of `wharf_xsks` holds the n-th socket bound to
// the queue; the kernel empties it by itself when that socket is closed. A frame
// whose slot is empty goes up the kernel's own stack or nowhere, as
// `no_xsk_verdict` says. A hit is what became of a frame: one whose slot was empty
// is no hit of the rule that redirected it, but of HIT_NO_XSK.
//
// Rules are compiled to clauses, conjunctions of questions each about one field.
// A clause is a bit. Every field's value selects a mask of the clauses that it
// does not rule out, and the lowest bit of their AND is the first clause that
// holds. So the cost depends on the fields that are asked for, and not on the
// number of rules. `wharf_config` is constant to the verifier, which removes
// the stages and fields that these rules do not use.
//
// `wharf_counts` says what was decided for each queue. XDP_REDIRECT is a
// decision, not a delivery: a full RX ring, an empty fill ring or a socket bound
// to another queue still drops the frame. Those losses appear in the socket's
// XDP_STATISTICS, or nowhere, so `redirected` is what closes the sum:
//
//     redirected - received - drops in XDP_STATISTICS = unaccounted
//
// Layouts and names are repeated in src/lib.rs, whose tests compare them with
// the compiled object. build.sh compiles this file.

#include "kernel.h"
#include "maps.h"
#include "frame.h"
#include "management.h"
#include "rules.h"

struct decision {
	__u32 action;
	__u32 hit; // Which of `wharf_hits`; HIT_NONE for none.
};

// `several` says whether frames may lie in several buffers.
static __always_inline struct decision decide(struct xdp_md *ctx, int several)
{
	struct decision decision = { wharf_config.default_action, HIT_DEFAULT };
	struct frame frame;

	if (!(wharf_config.fields | wharf_config.flows | wharf_config.management)) {
		// Nothing is asked: `wharf_counts` alone says how often.
		decision.hit = HIT_NONE;
		return decision;
	}
	read_frame(ctx, &frame);
	if (wharf_config.management && is_management(ctx, &frame)) {
		decision.action = ACTION_PASS;
		decision.hit = HIT_MANAGEMENT;
		return decision;
	}
	if (wharf_config.flows && find_flow(&frame, &decision.action)) {
		decision.hit = HIT_FLOWS;
		return decision;
	}
	if (wharf_config.fields)
		find_rule(ctx, several, &frame, &decision.action, &decision.hit);
	return decision;
}

// The comment keeps clang from making one increment of several, at an offset that
// depends on the path: that takes CAP_PERFMON.
#define count(counts, field)                        \
	do {                                        \
		(counts)->field++;                  \
		asm volatile("# " #field ::: "memory"); \
	} while (0)

static __always_inline int steer(struct xdp_md *ctx, int several)
{
	struct decision decision = decide(ctx, several);
	__u32 queue = ctx->rx_queue_index;
	// Queues without a slot are counted together, behind the others.
	__u32 counted = queue < wharf_config.queue_slots ? queue : wharf_config.queue_slots;
	struct queue_counts *counts = bpf_map_lookup_elem(&wharf_counts, &counted);
	long verdict;

	if (!counts)
		return XDP_PASS; // It cannot be: the map has that many entries.
	switch (decision.action & ACTION_KIND) {
	case ACTION_REDIRECT:
		// The flags are the verdict for an empty slot (Linux 5.3). A slot
		// past the end of the map is empty.
		verdict = bpf_redirect_map(&wharf_xsks,
					   queue * wharf_config.xsks_per_queue +
						   (decision.action >> ACTION_XSK_SHIFT),
					   wharf_config.no_xsk_verdict);
		if (verdict == XDP_REDIRECT) {
			count(counts, redirected);
			break;
		}
		if (decision.hit != HIT_NONE)
			decision.hit = HIT_NO_XSK;
		if (verdict == XDP_DROP)
			count(counts, dropped_no_xsk);
		else
			count(counts, passed_no_xsk);
		break;
	case ACTION_DROP:
		count(counts, dropped);
		verdict = XDP_DROP;
		break;
	default:
		count(counts, passed);
		verdict = XDP_PASS;
	}
	if (decision.hit != HIT_NONE) {
		__u64 *hits = bpf_map_lookup_elem(&wharf_hits, &decision.hit);

		if (hits)
			(*hits)++;
	}
	return verdict;
}

// Frames may span several buffers, so any MTU will do. Linux 5.18 and later.
SEC("xdp.frags")
int wharf_steer(struct xdp_md *ctx)
{
	return steer(ctx, 1);
}

// The same for kernels which do not know BPF_F_XDP_HAS_FRAGS: frames are in one
// buffer, which limits the MTU a driver accepts. The loader loads one of the two.
SEC("xdp")
int wharf_steer_one(struct xdp_md *ctx)
{
	return steer(ctx, 0);
}

// The kernel must be told that the program may use GPL-only helpers, and its
// list of accepted strings (include/linux/license.h) has this one for MIT.
char wharf_license[] SEC("license") = "Dual MIT/GPL";
