// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//
// What the tests' programs share: they stand for the program that a user of Wharf
// brings along, and so use nothing of Wharf's but the kernel's definitions.
//
// `xsks` holds the socket of each queue, put there by whoever loaded the program.
// `outcomes` says what became of frames. src/programs.rs repeats names and numbers.

#include "../../ebpf/kernel.h"

typedef int __s32;

static long (*const bpf_xdp_adjust_meta)(struct xdp_md *ctx, int delta) = (void *)54;
static long (*const bpf_xdp_adjust_tail)(struct xdp_md *ctx, int delta) = (void *)65;
// Linux 5.18.
static long (*const bpf_xdp_store_bytes)(struct xdp_md *ctx, __u32 offset, void *from,
					 __u32 len) = (void *)190;

enum {
	OUTCOME_REDIRECTED = 0,	 // Handed to the socket.
	OUTCOME_UNSUPPORTED = 1, // The driver cannot do what was asked: -EOPNOTSUPP.
	OUTCOME_REFUSED = 2,	 // The kernel refused it for another reason.
	OUTCOME_DROPPED = 3,	 // Dropped on purpose.
	OUTCOMES = 4,
};

enum { EOPNOTSUPP = 95 };

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__uint(max_entries, 1);
} xsks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, OUTCOMES);
} outcomes SEC(".maps");

static __always_inline void count(__u32 outcome)
{
	__u64 *frames = bpf_map_lookup_elem(&outcomes, &outcome);

	if (frames)
		(*frames)++;
}

// To the socket; to the kernel where there is none, as before and after a test.
static __always_inline int redirect(struct xdp_md *ctx)
{
	int verdict = bpf_redirect_map(&xsks, ctx->rx_queue_index, XDP_PASS);

	if (verdict == XDP_REDIRECT)
		count(OUTCOME_REDIRECTED);
	return verdict;
}

char own_license[] SEC("license") = "Dual MIT/GPL";
