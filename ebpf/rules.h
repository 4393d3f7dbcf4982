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

// Keeps in `held` the clauses in `mask`.
static __always_inline void keep(struct mask *held, const struct mask *mask)
{
#pragma unroll
	for (__u32 i = 0; i < WORDS; i++)
		if (i < wharf_config.words)
			held->words[i] &= mask->words[i];
}

// The verifier has to see that a value is inside its table. Undecided holds for no
// clause, so it is the safe one.
#define bounded(value, values)                   \
	({                                       \
		__u32 bounded_value = (value);   \
		opaque(bounded_value);           \
		if (bounded_value >= (values))   \
			bounded_value = (values) - 1; \
		bounded_value;                   \
	})

#define keep_by_row(held, table, value, rows)                                           \
	do {                                                                            \
		__u32 row = (table)->row[bounded(value, VALUES_OF((table)->row))];      \
		keep(held, &(table)->masks[bounded(row, rows)]);                        \
	} while (0)
#define VALUES_OF(array) (sizeof(array) / sizeof((array)[0]))

#define keep_by_value(held, table, value) \
	keep(held, &(table)->masks[bounded(value, VALUES(BYTES))])

// Keeps what an address does not rule out. `side` is 0 for the source.
static __always_inline void keep_by_address(struct mask *held, const struct frame *frame,
					    int side)
{
	const struct address *address = side ? &frame->flow.destination : &frame->flow.source;
	const struct mask *mask;

	if (frame->ip == IP_V4)
		mask = side ? bpf_map_lookup_elem(&wharf_dst_v4, address) :
			      bpf_map_lookup_elem(&wharf_src_v4, address);
	else if (frame->ip == IP_V6)
		mask = side ? bpf_map_lookup_elem(&wharf_dst_v6, address) :
			      bpf_map_lookup_elem(&wharf_src_v6, address);
	else
		mask = &wharf_tables.address[side][frame->ip == IP_UNDECIDED];
	if (!mask) // It cannot be: there is a prefix of length 0.
		mask = &wharf_tables.address[side][1];
	keep(held, mask);
}

static __always_inline void keep_by_ether_destination(struct mask *held,
						      const struct frame *frame)
{
	const struct mask *mask = &wharf_tables.ether_destination[1];

	if (!frame->is_short) {
		mask = bpf_map_lookup_elem(&wharf_macs, &frame->ether_destination);
		if (!mask)
			mask = &wharf_tables.ether_destination[0];
	}
	keep(held, mask);
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

	return index[(word & -word) * 0x022fdd63cc95386dULL >> 58];
}

// Gives the action of the first rule that holds, and which it is; leaves both
// where none does.
static __always_inline void find_rule(const struct frame *frame, __u32 *action, __u32 *hit)
{
	struct mask held = { { ~0ULL, ~0ULL, ~0ULL, ~0ULL } };
	__u32 fields = wharf_config.fields;

	if (fields & ASKS_ETHER_TYPE)
		keep_by_row(&held, &wharf_tables.ether_type, frame->ether_type, TYPE_ROWS);
	if (fields & ASKS_OUTER_VLAN)
		keep_by_row(&held, &wharf_tables.vlan[0], frame->vlan[0], TYPE_ROWS);
	if (fields & ASKS_INNER_VLAN)
		keep_by_row(&held, &wharf_tables.vlan[1], frame->vlan[1], TYPE_ROWS);
	if (fields & ASKS_ETHER_DESTINATION)
		keep_by_ether_destination(&held, frame);
	if (fields & ASKS_SOURCE)
		keep_by_address(&held, frame, 0);
	if (fields & ASKS_DESTINATION)
		keep_by_address(&held, frame, 1);
	if (fields & ASKS_PROTOCOL)
		keep_by_value(&held, &wharf_tables.protocol, frame->protocol);
	if (fields & ASKS_LATER_FRAGMENT)
		keep(&held,
		     &wharf_tables.later_fragment[bounded(frame->later_fragment, 4)]);
	if (fields & ASKS_SOURCE_PORT)
		keep_by_row(&held, &wharf_tables.port[0], frame->source_port, PORT_ROWS);
	if (fields & ASKS_DESTINATION_PORT)
		keep_by_row(&held, &wharf_tables.port[1], frame->destination_port, PORT_ROWS);
	if (fields & ASKS_TCP_FLAGS)
		keep_by_value(&held, &wharf_tables.tcp_flags, frame->tcp_flags);
	if (fields & ASKS_ICMP_TYPE_V4)
		keep_by_value(&held, &wharf_tables.icmp_type[0], frame->icmp_type[0]);
	if (fields & ASKS_ICMP_TYPE_V6)
		keep_by_value(&held, &wharf_tables.icmp_type[1], frame->icmp_type[1]);

#pragma unroll
	for (__u32 i = 0; i < WORDS; i++) {
		if (i < wharf_config.words && held.words[i]) {
			__u32 clause = bounded(i * 64 + lowest_bit(held.words[i]), CLAUSES);

			*action = wharf_tables.clauses[clause].action;
			*hit = wharf_tables.clauses[clause].hit;
			return;
		}
	}
}
