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

// Keeps in `held` the clauses in `mask`; none without a mask.
static __always_inline void keep(struct mask *held, const struct mask *mask)
{
#pragma unroll
	for (__u32 i = 0; i < WORDS; i++)
		if (i < wharf_config.words)
			held->words[i] = mask ? held->words[i] & mask->words[i] : 0;
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

// The IPv4 addresses of ARP over Ethernet: the sender's, or the one asked for.
static __always_inline const struct mask *by_arp_address(struct xdp_md *ctx,
							 const struct frame *frame, int side)
{
	__u32 undecided = frame->ether_type == UNDECIDED(NUMBERS);

	if (frame->ether_type == ETHERTYPE_ARP) {
		const __u32 *bytes = window(ctx, frame->network_at + (side ? 24 : 14), 4);

		if (bytes) {
			struct {
				__u32 bits;
				__u32 bytes;
			} address = { 32, *bytes };

			return side ? bpf_map_lookup_elem(&wharf_arp_dst, &address) :
				      bpf_map_lookup_elem(&wharf_arp_src, &address);
		}
		undecided = 1;
	}
	return BY_VALUE(wharf_tables.arp[side], undecided);
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

// Gives the action of the first rule that holds, and which it is; leaves both
// where none does.
static __always_inline void find_rule(struct xdp_md *ctx, int several, const struct frame *frame,
				      __u32 *action, __u32 *hit)
{
	struct mask held = { { ~0ULL, ~0ULL, ~0ULL, ~0ULL } };
	__u32 fields = wharf_config.fields;

	if (fields & ASKS_ETHER_TYPE)
		keep(&held, BY_ROW(wharf_tables.ether_type, frame->ether_type));
	if (fields & ASKS_OUTER_VLAN)
		keep(&held, BY_ROW(wharf_tables.vlan[0], frame->vlan[0]));
	if (fields & ASKS_INNER_VLAN)
		keep(&held, BY_ROW(wharf_tables.vlan[1], frame->vlan[1]));
	if (fields & ASKS_ETHER_DESTINATION)
		keep(&held, by_ether_destination(frame));
	if (fields & ASKS_SOURCE)
		keep(&held, by_address(frame, 0));
	if (fields & ASKS_DESTINATION)
		keep(&held, by_address(frame, 1));
	if (fields & ASKS_PROTOCOL)
		keep(&held, BY_VALUE(wharf_tables.protocol.masks, frame->protocol));
	if (fields & ASKS_LATER_FRAGMENT)
		keep(&held, BY_VALUE(wharf_tables.later_fragment, frame->later_fragment));
	if (fields & ASKS_SOURCE_PORT)
		keep(&held, BY_ROW(wharf_tables.port[0], frame->source_port));
	if (fields & ASKS_DESTINATION_PORT)
		keep(&held, BY_ROW(wharf_tables.port[1], frame->destination_port));
	if (fields & ASKS_TCP_FLAGS)
		keep(&held, BY_VALUE(wharf_tables.tcp_flags.masks, frame->tcp_flags));
	if (fields & ASKS_ICMP_TYPE_V4)
		keep(&held, BY_VALUE(wharf_tables.icmp_type[0].masks, frame->icmp_type[0]));
	if (fields & ASKS_ICMP_TYPE_V6)
		keep(&held, BY_VALUE(wharf_tables.icmp_type[1].masks, frame->icmp_type[1]));
	if (fields & ASKS_ETHER_SOURCE)
		keep(&held, by_ether_source(ctx));
	if (fields & ASKS_ETHER_MULTICAST)
		keep(&held, by_ether_multicast(ctx));
	if (fields & ASKS_FRAME_BYTES)
		keep(&held, by_frame_bytes(ctx, several));
	if (fields & ASKS_ARP_SOURCE)
		keep(&held, by_arp_address(ctx, frame, 0));
	if (fields & ASKS_ARP_DESTINATION)
		keep(&held, by_arp_address(ctx, frame, 1));
	if (fields & ASKS_EXTENSIONS)
		keep(&held, BY_VALUE(wharf_tables.extensions, frame->extensions));

#pragma unroll
	for (__u32 i = 0; i < WORDS; i++) {
		__u32 clause;

		if (i >= wharf_config.words || !held.words[i])
			continue;
		clause = i * 64 + lowest_bit(held.words[i]);
		if (is_index(&clause, CLAUSES)) {
			*action = wharf_tables.clauses[clause].action;
			*hit = wharf_tables.clauses[clause].hit;
		}
		return;
	}
}
