// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//
// Numbers the frames, from 0 on, in eight bytes in front of each.

#include "own.h"

enum { MAGIC = 0x7a67d9c1 };

struct metadata {
	__u32 magic;
	__u32 number;
};

__u32 next_number;

static __always_inline int number(struct xdp_md *ctx)
{
	struct metadata *metadata;
	void *data;
	long refused = bpf_xdp_adjust_meta(ctx, -(int)sizeof(*metadata));

	if (refused) {
		count(refused == -EOPNOTSUPP ? OUTCOME_UNSUPPORTED : OUTCOME_REFUSED);
		return redirect(ctx);
	}
	metadata = (void *)(unsigned long)ctx->data_meta;
	data = (void *)(unsigned long)ctx->data;
	if ((void *)(metadata + 1) > data)
		return XDP_DROP; // It cannot be: that room was made above.
	metadata->magic = MAGIC;
	metadata->number = next_number++;
	return redirect(ctx);
}

SEC("xdp")
int number_one(struct xdp_md *ctx)
{
	return number(ctx);
}

SEC("xdp.frags")
int number_frags(struct xdp_md *ctx)
{
	return number(ctx);
}
