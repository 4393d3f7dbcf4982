/* SPDX-License-Identifier: MIT OR Apache-2.0 */

/*
 * The receive → transmit → completion → fill cycle as C programs write it, on the
 * inline functions of libxdp's <xdp/xsk.h>: the loop of xdpsock's l2fwd, with and
 * without a look at the frames. The rings and the chunks are in plain memory;
 * nothing of libxdp is linked.
 */

#include <stdlib.h>
#include <string.h>

#include <xdp/xsk.h>

#define CHUNK 4096
#define HEADROOM 256

/* The kernel's side of a ring, and the memory that both sides share. */
struct kernel_ring {
	__u32 producer;
	__u32 consumer;
	__u32 flags;
	__u32 mask;
	void *entries;
};

struct libxdp_xsk {
	struct xsk_ring_prod fill;
	struct xsk_ring_cons rx;
	struct xsk_ring_prod tx;
	struct xsk_ring_cons completion;
	char *area;
	struct kernel_ring kernel_fill;
	struct kernel_ring kernel_rx;
	struct kernel_ring kernel_tx;
	struct kernel_ring kernel_completion;
};

static void *zeroed(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (!memory)
		abort();
	return memory;
}

static void kernel_ring_new(struct kernel_ring *ring, __u32 entries, size_t size)
{
	ring->mask = entries - 1;
	ring->entries = zeroed(entries, size);
}

/* As xsk_umem__create and xsk_socket__create leave them. */
static void prod_new(struct xsk_ring_prod *prod, struct kernel_ring *ring)
{
	prod->mask = ring->mask;
	prod->size = ring->mask + 1;
	prod->producer = &ring->producer;
	prod->consumer = &ring->consumer;
	prod->flags = &ring->flags;
	prod->ring = ring->entries;
	prod->cached_cons = prod->size;
}

static void cons_new(struct xsk_ring_cons *cons, struct kernel_ring *ring)
{
	cons->mask = ring->mask;
	cons->size = ring->mask + 1;
	cons->producer = &ring->producer;
	cons->consumer = &ring->consumer;
	cons->flags = &ring->flags;
	cons->ring = ring->entries;
}

struct libxdp_xsk *libxdp_new(__u32 entries)
{
	struct libxdp_xsk *xsk = zeroed(1, sizeof(*xsk));
	__u32 slot, chunk;

	xsk->area = zeroed(entries, CHUNK);
	kernel_ring_new(&xsk->kernel_fill, entries, sizeof(__u64));
	kernel_ring_new(&xsk->kernel_rx, entries, sizeof(struct xdp_desc));
	kernel_ring_new(&xsk->kernel_tx, entries, sizeof(struct xdp_desc));
	kernel_ring_new(&xsk->kernel_completion, entries, sizeof(__u64));
	prod_new(&xsk->fill, &xsk->kernel_fill);
	cons_new(&xsk->rx, &xsk->kernel_rx);
	prod_new(&xsk->tx, &xsk->kernel_tx);
	cons_new(&xsk->completion, &xsk->kernel_completion);
	if (xsk_ring_prod__reserve(&xsk->fill, entries, &slot) != entries)
		abort();
	for (chunk = 0; chunk < entries; chunk++)
		*xsk_ring_prod__fill_addr(&xsk->fill, slot + chunk) = (__u64)chunk * CHUNK;
	xsk_ring_prod__submit(&xsk->fill, entries);
	return xsk;
}

void libxdp_free(struct libxdp_xsk *xsk)
{
	free(xsk->kernel_fill.entries);
	free(xsk->kernel_rx.entries);
	free(xsk->kernel_tx.entries);
	free(xsk->kernel_completion.entries);
	free(xsk->area);
	free(xsk);
}

/* The kernel's side: completes what was sent, and receives a batch. */
void libxdp_serve(struct libxdp_xsk *xsk, __u32 batch, __u32 len)
{
	struct kernel_ring *fill = &xsk->kernel_fill, *rx = &xsk->kernel_rx;
	struct kernel_ring *tx = &xsk->kernel_tx, *completion = &xsk->kernel_completion;
	struct xdp_desc *descs;

	descs = tx->entries;
	for (; tx->consumer != tx->producer; tx->consumer++, completion->producer++)
		((__u64 *)completion->entries)[completion->producer & completion->mask] =
			descs[tx->consumer & tx->mask].addr;
	descs = rx->entries;
	for (; batch && fill->consumer != fill->producer; batch--) {
		struct xdp_desc *desc = &descs[rx->producer++ & rx->mask];
		__u64 addr = ((__u64 *)fill->entries)[fill->consumer++ & fill->mask];

		desc->addr = (addr & ~(__u64)(CHUNK - 1)) + HEADROOM;
		desc->len = len;
		desc->options = 0;
	}
}

/* Completed chunks go back to the fill ring. */
static inline void recycle(struct libxdp_xsk *xsk, __u32 batch)
{
	__u32 from, to, completed, entry;

	completed = xsk_ring_cons__peek(&xsk->completion, batch, &from);
	if (!completed)
		return;
	if (xsk_ring_prod__reserve(&xsk->fill, completed, &to) != completed)
		abort();
	for (entry = 0; entry < completed; entry++)
		*xsk_ring_prod__fill_addr(&xsk->fill, to++) =
			*xsk_ring_cons__comp_addr(&xsk->completion, from++);
	xsk_ring_prod__submit(&xsk->fill, completed);
	xsk_ring_cons__release(&xsk->completion, completed);
}

static inline void swap_mac_addresses(char *frame)
{
	char address[6];

	memcpy(address, frame, 6);
	memcpy(frame, frame + 6, 6);
	memcpy(frame + 6, address, 6);
}

static inline __u32 forward(struct libxdp_xsk *xsk, __u32 batch, int touch)
{
	__u32 from, to, received, entry;

	recycle(xsk, batch);
	received = xsk_ring_cons__peek(&xsk->rx, batch, &from);
	if (!received)
		return 0;
	if (xsk_ring_prod__reserve(&xsk->tx, received, &to) != received)
		abort();
	for (entry = 0; entry < received; entry++) {
		const struct xdp_desc *in = xsk_ring_cons__rx_desc(&xsk->rx, from++);
		struct xdp_desc *out = xsk_ring_prod__tx_desc(&xsk->tx, to++);

		if (touch)
			swap_mac_addresses(xsk_umem__get_data(xsk->area,
				xsk_umem__add_offset_to_addr(in->addr)));
		out->addr = in->addr;
		out->len = in->len;
		out->options = 0;
	}
	xsk_ring_prod__submit(&xsk->tx, received);
	xsk_ring_cons__release(&xsk->rx, received);
	return received;
}

/* What is counted. */
__attribute__((noinline)) __u32 libxdp_owned(struct libxdp_xsk *xsk, __u32 batch)
{
	return forward(xsk, batch, 0);
}

__attribute__((noinline)) __u32 libxdp_touched(struct libxdp_xsk *xsk, __u32 batch)
{
	return forward(xsk, batch, 1);
}
