// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//
// What the loader and the program share: the configuration, the tables that rules
// are compiled to, and the maps. src/lib.rs says the same in Rust.

// What becomes of a frame: a kind, and the index of an xsk above it.
enum { ACTION_PASS = 0, ACTION_REDIRECT = 1, ACTION_DROP = 2 };
enum { ACTION_KIND = 0xff, ACTION_XSK_SHIFT = 8 };

// Indices of `wharf_hits`; those of rules follow.
enum {
	HIT_DEFAULT = 0,
	HIT_FLOWS = 1,
	HIT_MANAGEMENT = 2,
	HIT_NO_XSK = 3,
	HIT_UNDECIDED = 4,
	HIT_RULES = 5,
};
enum { HIT_NONE = ~0U };

// Bits of `fields`: what the rules ask for.
enum {
	ASKS_ETHER_TYPE = 1 << 0,
	ASKS_OUTER_VLAN = 1 << 1,
	ASKS_INNER_VLAN = 1 << 2,
	ASKS_ETHER_DESTINATION = 1 << 3,
	ASKS_SOURCE = 1 << 4,
	ASKS_DESTINATION = 1 << 5,
	ASKS_PROTOCOL = 1 << 6,
	ASKS_LATER_FRAGMENT = 1 << 7,
	ASKS_SOURCE_PORT = 1 << 8,
	ASKS_DESTINATION_PORT = 1 << 9,
	ASKS_TCP_FLAGS = 1 << 10,
	ASKS_ICMP_TYPE_V4 = 1 << 11,
	ASKS_ICMP_TYPE_V6 = 1 << 12,
	ASKS_ETHER_SOURCE = 1 << 13,
	ASKS_ETHER_MULTICAST = 1 << 14,
	ASKS_FRAME_BYTES = 1 << 15,
	ASKS_ARP_SOURCE = 1 << 16,
	ASKS_ARP_DESTINATION = 1 << 17,
	ASKS_EXTENSIONS = 1 << 18,
	// Rules that ask nothing, such as "not (tcp and udp)", are rules as well.
	ASKS_ANYTHING = 1 << 31,
};

// Written by the loader before the program is loaded, and frozen then: the
// verifier takes each value as a constant and removes what it rules out.
struct config {
	__u32 fields;
	__u32 words; // Words of a mask that are in use.
	__u32 flows;
	__u32 management;
	__u32 default_action;
	__u32 queue_slots;
	__u32 xsks_per_queue;
	__u32 no_xsk_verdict; // For frames whose slot is empty.
	__u32 undecided_action; // Or UNDECIDED_NEXT: the next rule is asked.
};

enum { UNDECIDED_NEXT = ~0U };

const volatile struct config wharf_config SEC(".rodata") = {
	.default_action = ACTION_REDIRECT,
	.queue_slots = 1,
	.xsks_per_queue = 1,
	.no_xsk_verdict = XDP_PASS,
	.undecided_action = UNDECIDED_NEXT,
};

enum { WORDS = 4, CLAUSES = WORDS * 64 };

// The clauses that a value does not rule out.
struct mask {
	__u64 words[WORDS];
};

// Of a field with N values, N is "absent" and N + 1 "undecided".
#define VALUES(n) ((n) + 2)
#define ABSENT(n) (n)
#define UNDECIDED(n) ((n) + 1)
enum { BYTES = 256, IDS = 4096, NUMBERS = 65536 };
enum { EXTENSION_SETS = 32 }; // A bit for each header of EXTENSION_...

// Fields with many values have few masks: `row` gives the mask's index.
enum { TYPE_ROWS = 512, PORT_ROWS = 1024 };

struct type_masks {
	__u16 row[VALUES(NUMBERS) + 6]; // 6: to a multiple of eight bytes.
	struct mask masks[TYPE_ROWS];
};

struct vlan_masks {
	__u16 row[VALUES(IDS) + 2];
	struct mask masks[TYPE_ROWS];
};

struct port_masks {
	__u16 row[VALUES(NUMBERS) + 6];
	struct mask masks[PORT_ROWS];
};

struct byte_masks {
	struct mask masks[VALUES(BYTES)];
};

struct tables {
	// By clause.
	struct {
		__u32 action;
		__u32 hit;
	} clauses[CLAUSES];
	struct type_masks ether_type;
	struct vlan_masks vlan[2];	    // Outer, inner.
	struct mask ether_destination[2];   // No rule names it; undecided.
	struct mask address[2][2];	    // Source, destination: absent, undecided.
	struct mask later_fragment[4];	    // No, yes, absent, undecided.
	struct port_masks port[2];	    // Source, destination.
	struct byte_masks protocol;
	struct byte_masks tcp_flags;
	struct byte_masks icmp_type[2];	    // ICMP, ICMPv6.
	struct mask ether_source[2];	    // As ether_destination.
	struct mask ether_multicast[4];	    // As later_fragment.
	struct mask arp[2][2];		    // As address.
	struct mask extensions[VALUES(EXTENSION_SETS)];
	__u64 nothing; // Zero, as the verifier does not know: see `forget`.
	// By the clause that holds first, and last for none: the clauses of rules before
	// it that would do something else.
	struct mask differing[CLAUSES + 1];
	struct type_masks frame_bytes;	    // The last value is for all that are longer.
};

// In .bss, so that the object holds none of its zeros.
struct tables wharf_tables;

struct queue_counts {
	__u64 redirected;    // Frames handed to the socket in the slot.
	__u64 passed;	     // Frames left to the kernel, as was decided.
	__u64 dropped;	     // Frames dropped, as was decided.
	__u64 passed_no_xsk; // Frames left to the kernel: the slot was empty.
	__u64 dropped_no_xsk; // Frames dropped: the slot was empty.
};

// The loader raises max_entries of all maps to what it needs, and gives a program
// that takes over from another the other's sockets, flows and addresses.
//
// Key and value are given by size because an XSKMAP refuses BTF types for them.
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__uint(max_entries, 1);
} wharf_xsks SEC(".maps");

// Per CPU, so that counting is a plain increment: XDP runs with preemption off
// and is not entered twice on one CPU. One entry per queue slot, and one for all
// queues without.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct queue_counts);
	__uint(max_entries, 2);
} wharf_counts SEC(".maps");

// Frames that a rule decided, by rule; see HIT_RULES. Not used, and then not
// counted, where there is nothing to choose from.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, HIT_RULES);
} wharf_hits SEC(".maps");

// An address as an LPM trie takes it, with the number of its bits in front.
struct address {
	__u32 bits; // 32 or 128
	__u32 bytes[4];
};

// All in network order.
struct flow {
	struct address source;
	struct address destination;
	__u16 source_port;
	__u16 destination_port;
	__u32 protocol;
};

// Elements are allocated as flows come: from system calls only, so that no
// allocation happens here, and a table with room for a million costs nothing but
// its buckets. A lookup is under RCU either way.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct flow);
	__type(value, __u32); // An action.
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} wharf_flows SEC(".maps");

// The host's addresses; those of IPv4 as ::ffff:a.b.c.d.
struct own_address {
	__u32 bytes[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct own_address);
	__type(value, __u32);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} wharf_own_addrs SEC(".maps");

// The MAC addresses that rules name, in the low 48 bits in memory order.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u64);
	__type(value, struct mask);
	__uint(max_entries, 1);
} wharf_macs SEC(".maps");

// Of senders.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u64);
	__type(value, struct mask);
	__uint(max_entries, 1);
} wharf_src_macs SEC(".maps");

// Prefixes, always with one of length 0, so that a lookup finds something. No BTF
// types here either: a trie wants a structure of its own for the key.
#define PREFIXES(name, key_bytes)                      \
	struct {                                       \
		__uint(type, BPF_MAP_TYPE_LPM_TRIE);   \
		__uint(key_size, 4 + key_bytes);       \
		__uint(value_size, sizeof(struct mask)); \
		__uint(max_entries, 1);                \
		__uint(map_flags, BPF_F_NO_PREALLOC);  \
	} name SEC(".maps")

PREFIXES(wharf_src_v4, 4);
PREFIXES(wharf_src_v6, 16);
PREFIXES(wharf_dst_v4, 4);
PREFIXES(wharf_dst_v6, 16);
PREFIXES(wharf_arp_src, 4);
PREFIXES(wharf_arp_dst, 4);
