// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//
// Prepares a frame on its way back to the kernel's stack. The frame came out of the
// receiving end of a helper veth pair, and an action behind this classifier
// (act_mirred) moves it to the ingress of the interface that it is passed to.
//
// Two things of it still speak of the pair. The packet type was judged by the MAC
// address of the receiving end, which is nobody's; and the queue is that of the
// pair, which may be none of the interface's. Both are set here to what the stack
// would see of a frame that has just arrived on the interface.
//
// src/pass.rs says the same in Rust. build.sh compiles this file.

#include "kernel.h"

// The beginning of the kernel's structure.
struct __sk_buff {
	__u32 len;
	__u32 pkt_type;
	__u32 mark;
	__u32 queue_mapping;
};

// Source: include/uapi/linux/if_packet.h.
enum { PACKET_HOST = 0, PACKET_OTHERHOST = 3 };

static long (*const bpf_skb_load_bytes)(const void *skb, __u32 offset, void *to,
					__u32 len) = (void *)26;
static long (*const bpf_skb_change_type)(struct __sk_buff *skb, __u32 type) = (void *)32;

// An address, and two zeros behind it.
union mac {
	__u8 bytes[8];
	__u64 word;
};

// The interface's address: the loader keeps it up to date. In .bss, so that it is
// one map, whose value is read and written whole.
volatile union mac wharf_pass_mac;

SEC("classifier")
int wharf_pass(struct __sk_buff *skb)
{
	union mac to = { .word = 0 };

	// Broadcast and multicast are the same on any interface.
	if (bpf_skb_load_bytes(skb, 0, to.bytes, 6) == 0 && !(to.bytes[0] & 1))
		bpf_skb_change_type(skb, to.word == wharf_pass_mac.word ? PACKET_HOST
									: PACKET_OTHERHOST);
	skb->queue_mapping = 0; // Not recorded.
	return -1;		// Every frame matches.
}

char wharf_license[] SEC("license") = "Dual MIT/GPL";
