// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//
// Drops every other frame that would go to the socket, the second first.

#include "own.h"

// Frames of one queue are never looked at by two CPUs at once.
__u64 seen;

static __always_inline int drop_half(struct xdp_md *ctx)
{
	if (seen++ % 2) {
		count(OUTCOME_DROPPED);
		return XDP_DROP;
	}
	return redirect(ctx);
}

SEC("xdp")
int drop_half_one(struct xdp_md *ctx)
{
	return drop_half(ctx);
}
