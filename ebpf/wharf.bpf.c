// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//
// Steers each frame to the AF_XDP socket of the queue it arrived on.
//
// Slot q of `wharf_xsks` holds the socket bound to queue q; the kernel empties
// it by itself when that socket is closed. A frame whose slot is empty goes up
// the kernel's own stack as if this program were not there.
//
// `wharf_counts` says what was decided for each queue. XDP_REDIRECT is a
// decision, not a delivery: a full RX ring, an empty fill ring or a socket bound
// to another queue still drops the frame. Those losses appear in the socket's
// XDP_STATISTICS, or nowhere, so `redirected` is what closes the sum:
//
//     redirected - received - drops in XDP_STATISTICS = unaccounted
//
// Layouts and names below are repeated in src/lib.rs, whose tests compare them
// with the compiled object. build.sh compiles this file.
//
// It includes nothing, so that clang alone rebuilds it, byte for byte, on any
// host. The few definitions it needs are the kernel's user-space ABI
// (include/uapi/linux/bpf.h, Linux 5.10) and never change.

typedef unsigned int __u32;
typedef unsigned long long __u64;

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name
#define __always_inline inline __attribute__((always_inline))

enum { BPF_MAP_TYPE_PERCPU_ARRAY = 6, BPF_MAP_TYPE_XSKMAP = 17 };
enum { XDP_PASS = 2, XDP_REDIRECT = 4 };

struct xdp_md {
	__u32 data;
	__u32 data_end;
	__u32 data_meta;
	__u32 ingress_ifindex;
	__u32 rx_queue_index;
};

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_redirect_map)(void *map, __u64 key, __u64 flags) = (void *)51;

struct queue_counts {
	__u64 redirected; // Frames handed to the socket in the queue's slot.
	__u64 passed;     // Frames left to the kernel: the slot was empty.
};

// One slot per queue; the loader raises max_entries to the number of queues.
// Key and value are given by size because an XSKMAP refuses BTF types for them.
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__uint(max_entries, 1);
} wharf_xsks SEC(".maps");

// Per CPU, so that counting is a plain increment: XDP runs with preemption off
// and is not entered twice on one CPU.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct queue_counts);
	__uint(max_entries, 1);
} wharf_counts SEC(".maps");

static __always_inline int steer(struct xdp_md *ctx)
{
	__u32 queue = ctx->rx_queue_index;
	struct queue_counts *counts = bpf_map_lookup_elem(&wharf_counts, &queue);
	// The flags are the verdict for an empty slot (Linux 5.3). A queue past the
	// end of the map counts as an empty slot.
	long verdict = bpf_redirect_map(&wharf_xsks, queue, XDP_PASS);

	if (counts) {
		if (verdict == XDP_REDIRECT)
			counts->redirected++;
		else
			counts->passed++;
	}
	return verdict;
}

// Frames may span several buffers, so any MTU will do. Linux 5.18 and later.
SEC("xdp.frags")
int wharf_steer(struct xdp_md *ctx)
{
	return steer(ctx);
}

// The same for kernels which do not know BPF_F_XDP_HAS_FRAGS: frames are in one
// buffer, which limits the MTU a driver accepts. The loader loads one of the two.
SEC("xdp")
int wharf_steer_one(struct xdp_md *ctx)
{
	return steer(ctx);
}

// The kernel must be told that the program may use GPL-only helpers, and its
// list of accepted strings (include/linux/license.h) has this one for MIT.
char wharf_license[] SEC("license") = "Dual MIT/GPL";
