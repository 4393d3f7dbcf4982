// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//
// Makes each frame shorter or longer by `adjust_bytes`. Into the end of one that
// grew goes its new length, in network order; before that are the kernel's zeros.
// A frame that cannot be adjusted is counted and goes on as it is.

#include "own.h"

const volatile __s32 adjust_bytes SEC(".rodata") = -1;

// Whether it was adjusted.
static __always_inline int adjust(struct xdp_md *ctx)
{
	long refused = bpf_xdp_adjust_tail(ctx, adjust_bytes);

	if (refused)
		count(refused == -EOPNOTSUPP ? OUTCOME_UNSUPPORTED : OUTCOME_REFUSED);
	return !refused;
}

SEC("xdp")
int adjust_one(struct xdp_md *ctx)
{
	void *data, *data_end;
	__u64 len, last;

	if (adjust(ctx) && adjust_bytes > 0) {
		data = (void *)(unsigned long)ctx->data;
		data_end = (void *)(unsigned long)ctx->data_end;
		len = data_end - data;
		if (len < 64 || len > 4096)
			return XDP_DROP; // No test sends such.
		last = len - sizeof(__u32);
		opaque(last);
		data += last;
		if (data + sizeof(__u32) > data_end)
			return XDP_DROP; // It cannot be.
		*(__u32 *)data = htonl((__u32)len);
	}
	return redirect(ctx);
}

// Linux 5.18.
SEC("xdp.frags")
int adjust_frags(struct xdp_md *ctx)
{
	__u32 len, written;

	if (adjust(ctx) && adjust_bytes > 0) {
		len = bpf_xdp_get_buff_len(ctx);
		written = htonl(len);
		if (bpf_xdp_store_bytes(ctx, len - sizeof(written), &written, sizeof(written)))
			return XDP_DROP; // It cannot be: these are the frame's.
	}
	return redirect(ctx);
}
