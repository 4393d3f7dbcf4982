// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//
// The second and third stage: exact flows, and the list of rules.

// One lookup, whatever their number. A frame whose ports are absent or undecided
// is of no flow.
static __always_inline int find_flow(struct frame *frame, __u32 *action)
{
	__u32 *found;

	if (frame->source_port >= ABSENT(NUMBERS))
		return 0;
	frame->flow.protocol = frame->protocol;
	found = bpf_map_lookup_elem(&wharf_flows, &frame->flow);
	if (!found)
		return 0;
	*action = *found;
	return 1;
}

// The clauses of which all literals hold so far, and those of which none is false.
struct candidates {
	struct mask held;
	struct mask possible;
};

static __always_inline int asks_undecided(void)
{
	return wharf_config.undecided_action != UNDECIDED_NEXT;
}

// Keeps the clauses in `mask`; none without a mask. Where the field is undecided, all
// stay possible.
static __always_inline void keep(struct candidates *candidates, const struct mask *mask,
				 int undecided)
{
#pragma unroll
	for (__u32 i = 0; i < WORDS; i++) {
		__u64 bits;

		if (i >= wharf_config.words)
			continue;
		bits = mask ? mask->words[i] : 0;
		candidates->held.words[i] &= bits;
		if (asks_undecided() && !undecided)
			candidates->possible.words[i] &= bits;
	}
}

// Whether `*value` is an index of a table with that many entries, so that the
// verifier sees it too. It always is.
static __always_inline int is_index(__u32 *value, __u32 entries)
{
	__u32 index = *value;

	opaque(index);
	if (index >= entries)
		return 0;
	opaque(index); // Keeps clang from using it before the check.
	*value = index;
	return 1;
}

static __always_inline const struct mask *by_row(const __u16 *rows, __u32 values,
						 const struct mask *masks, __u32 most,
						 __u32 value)
{
	__u32 row;

	if (!is_index(&value, values))
		return 0;
	row = rows[value];
	return is_index(&row, most) ? &masks[row] : 0;
}

static __always_inline const struct mask *by_value(const struct mask *masks, __u32 values,
						   __u32 value)
{
	return is_index(&value, values) ? &masks[value] : 0;
}

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define BY_ROW(table, value) \
	by_row((table).row, LENGTH((table).row), (table).masks, LENGTH((table).masks), value)
#define BY_VALUE(table, value) by_value(table, LENGTH(table), value)

// What an address does not rule out. `side` is 0 for the source.
static __always_inline const struct mask *by_address(const struct frame *frame, int side)
{
	const struct address *address = side ? &frame->flow.destination : &frame->flow.source;

	// There is a prefix of length 0, so the lookups find something.
	if (frame->ip == IP_V4)
		return side ? bpf_map_lookup_elem(&wharf_dst_v4, address) :
			      bpf_map_lookup_elem(&wharf_src_v4, address);
	if (frame->ip == IP_V6)
		return side ? bpf_map_lookup_elem(&wharf_dst_v6, address) :
			      bpf_map_lookup_elem(&wharf_src_v6, address);
	return BY_VALUE(wharf_tables.address[side], frame->ip);
}

static __always_inline const struct mask *by_ether_destination(const struct frame *frame)
{
	__u32 undecided = frame->is_short;

	if (!undecided) {
		const struct mask *mask =
			bpf_map_lookup_elem(&wharf_macs, &frame->ether_destination);

		if (mask)
			return mask;
	}
	return BY_VALUE(wharf_tables.ether_destination, undecided);
}

// The fields below are read as rules ask for them, so that others do not pay.

static __always_inline const struct mask *by_ether_source(struct xdp_md *ctx)
{
	const struct ethernet *ethernet = window(ctx, 0, sizeof(*ethernet));
	const struct mask *mask;
	__u64 source;

	if (!ethernet)
		return &wharf_tables.ether_source[1];
	source = ethernet->words[3] | (__u32)ethernet->words[4] << 16 |
		 (__u64)ethernet->words[5] << 32;
	mask = bpf_map_lookup_elem(&wharf_src_macs, &source);
	return mask ? mask : &wharf_tables.ether_source[0];
}

// The first bit on the wire is the lowest of the first byte.
static __always_inline const struct mask *by_ether_multicast(struct xdp_md *ctx)
{
	const __u8 *first = window(ctx, 0, sizeof(struct ethernet));
	__u32 value = FRAGMENT_UNDECIDED;

	if (first)
		value = *first & 1;
	return BY_VALUE(wharf_tables.ether_multicast, value);
}

// The length of the whole frame, of which `several` buffers may have a part each.
static __always_inline const struct mask *by_frame_bytes(struct xdp_md *ctx, int several)
{
	__u64 bytes = several ? bpf_xdp_get_buff_len(ctx) :
				(__u64)((const __u8 *)(long)ctx->data_end -
					(const __u8 *)(long)ctx->data);
	__u32 value = bytes < NUMBERS ? bytes : NUMBERS - 1;

	return BY_ROW(wharf_tables.frame_bytes, value);
}

// An IPv4 address of ARP over Ethernet: the sender's, or the one asked for. Null where
// it is not there.
static __always_inline const __u32 *arp_address(struct xdp_md *ctx, const struct frame *frame,
						int side)
{
	if (frame->ether_type != ETHERTYPE_ARP)
		return 0;
	return window(ctx, frame->network_at + (side ? 24 : 14), sizeof(__u32));
}

// Whether it is undecided, if it is not there.
static __always_inline int may_be_arp(const struct frame *frame)
{
	return frame->ether_type == ETHERTYPE_ARP || frame->ether_type == UNDECIDED(NUMBERS);
}

static __always_inline int has_no_arp_address(struct xdp_md *ctx, const struct frame *frame,
					      int side)
{
	return may_be_arp(frame) && !arp_address(ctx, frame, side);
}

static __always_inline const struct mask *by_arp_address(struct xdp_md *ctx,
							 const struct frame *frame, int side)
{
	const __u32 *bytes = arp_address(ctx, frame, side);

	if (bytes) {
		struct {
			__u32 bits;
			__u32 bytes;
		} address = { 32, *bytes };

		return side ? bpf_map_lookup_elem(&wharf_arp_dst, &address) :
			      bpf_map_lookup_elem(&wharf_arp_src, &address);
	}
	return BY_VALUE(wharf_tables.arp[side], may_be_arp(frame));
}

// The index of the lowest bit of a word that is not zero: the product with this de
// Bruijn sequence has a different top six bits for each bit. There is no
// instruction for it before -mcpu=v4.
static __always_inline __u32 lowest_bit(__u64 word)
{
	static const __u8 index[64] = {
		0,  1,	2,  53, 3,  7,	54, 27, 4,  38, 41, 8,	34, 55, 48, 28,
		62, 5,	39, 46, 44, 42, 22, 9,	24, 35, 59, 56, 49, 18, 29, 11,
		63, 52, 6,  26, 37, 40, 33, 47, 61, 45, 43, 21, 23, 58, 17, 10,
		51, 25, 36, 32, 60, 20, 57, 16, 50, 31, 19, 15, 30, 14, 13, 12,
	};

	__u32 place = (word & -word) * 0x022fdd63cc95386dULL >> 58;

	return is_index(&place, LENGTH(index)) ? index[place] : 0;
}

// Whether a rule before the first clause that holds may match, and would do something
// else. `clause` is CLAUSES where none holds.
static __always_inline int is_undecided(const struct candidates *candidates, __u32 clause)
{
	const struct mask *differing;

	if (!is_index(&clause, CLAUSES + 1))
		return 0;
	differing = &wharf_tables.differing[clause];
#pragma unroll
	for (__u32 i = 0; i < WORDS; i++)
		if (i < wharf_config.words &&
		    (candidates->possible.words[i] & differing->words[i]))
			return 1;
	return 0;
}

// The index of the first clause that holds; CLAUSES for none.
static __always_inline __u32 first_clause(const struct mask *held)
{
#pragma unroll
	for (__u32 i = 0; i < WORDS; i++)
		if (i < wharf_config.words && held->words[i])
			return i * 64 + lowest_bit(held->words[i]);
	return CLAUSES;
}

#define KEEP(mask, undecided) keep(&candidates, mask, undecided)
#define KEEP_ROW(table, value) KEEP(BY_ROW(table, value), (value) == UNDECIDED(NUMBERS))
#define KEEP_ID(table, value) KEEP(BY_ROW(table, value), (value) == UNDECIDED(IDS))
#define KEEP_BYTE(table, value) KEEP(BY_VALUE(table, value), (value) == UNDECIDED(BYTES))

// Gives the action of the first rule that holds, and which it is; leaves both
// where none does.
static __always_inline void find_rule(struct xdp_md *ctx, int several, const struct frame *frame,
				      __u32 *action, __u32 *hit)
{
	struct candidates candidates = { { { ~0ULL, ~0ULL, ~0ULL, ~0ULL } },
					 { { ~0ULL, ~0ULL, ~0ULL, ~0ULL } } };
	__u32 fields = wharf_config.fields, clause;
	int no_ip = frame->ip == IP_UNDECIDED;

	if (fields & ASKS_ETHER_TYPE)
		KEEP_ROW(wharf_tables.ether_type, frame->ether_type);
	if (fields & ASKS_OUTER_VLAN)
		KEEP_ID(wharf_tables.vlan[0], frame->vlan[0]);
	if (fields & ASKS_INNER_VLAN)
		KEEP_ID(wharf_tables.vlan[1], frame->vlan[1]);
	if (fields & ASKS_ETHER_DESTINATION)
		KEEP(by_ether_destination(frame), frame->is_short);
	if (fields & ASKS_SOURCE)
		KEEP(by_address(frame, 0), no_ip);
	if (fields & ASKS_DESTINATION)
		KEEP(by_address(frame, 1), no_ip);
	if (fields & ASKS_PROTOCOL)
		KEEP_BYTE(wharf_tables.protocol.masks, frame->protocol);
	if (fields & ASKS_LATER_FRAGMENT)
		KEEP(BY_VALUE(wharf_tables.later_fragment, frame->later_fragment),
		     frame->later_fragment == FRAGMENT_UNDECIDED);
	if (fields & ASKS_SOURCE_PORT)
		KEEP_ROW(wharf_tables.port[0], frame->source_port);
	if (fields & ASKS_DESTINATION_PORT)
		KEEP_ROW(wharf_tables.port[1], frame->destination_port);
	if (fields & ASKS_TCP_FLAGS)
		KEEP_BYTE(wharf_tables.tcp_flags.masks, frame->tcp_flags);
	if (fields & ASKS_ICMP_TYPE_V4)
		KEEP_BYTE(wharf_tables.icmp_type[0].masks, frame->icmp_type[0]);
	if (fields & ASKS_ICMP_TYPE_V6)
		KEEP_BYTE(wharf_tables.icmp_type[1].masks, frame->icmp_type[1]);
	if (fields & ASKS_ETHER_SOURCE)
		KEEP(by_ether_source(ctx), frame->is_short);
	if (fields & ASKS_ETHER_MULTICAST)
		KEEP(by_ether_multicast(ctx), frame->is_short);
	if (fields & ASKS_FRAME_BYTES)
		KEEP(by_frame_bytes(ctx, several), 0);
	if (fields & ASKS_ARP_SOURCE)
		KEEP(by_arp_address(ctx, frame, 0), has_no_arp_address(ctx, frame, 0));
	if (fields & ASKS_ARP_DESTINATION)
		KEEP(by_arp_address(ctx, frame, 1), has_no_arp_address(ctx, frame, 1));
	if (fields & ASKS_EXTENSIONS)
		KEEP(BY_VALUE(wharf_tables.extensions, frame->extensions),
		     frame->extensions == UNDECIDED(EXTENSION_SETS));

	clause = first_clause(&candidates.held);
	if (asks_undecided() && is_undecided(&candidates, clause)) {
		*action = wharf_config.undecided_action;
		*hit = HIT_UNDECIDED;
		return;
	}
	if (is_index(&clause, CLAUSES)) {
		*action = wharf_tables.clauses[clause].action;
		*hit = wharf_tables.clauses[clause].hit;
	}
}
