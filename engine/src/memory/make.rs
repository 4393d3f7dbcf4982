//! Makes the memory of a UMEM: on which pages, and within which limits.

use super::geometry::Geometry;
use super::huge::HugePages;
use super::own::{OwnMemory, Size};
use super::region::Region;
use super::room::take_room;
use super::{Pages, UmemConfig, UmemError, budget};
use crate::kernel::sys::memory::page_size;

/// The memory of a UMEM, and its part of the budget.
pub(super) fn region(config: &UmemConfig) -> Result<(Region, budget::Reservation), UmemError> {
    match config.pages {
        Pages::Base => on_base_pages(config, None),
        Pages::Huge => on_huge_pages(config),
        Pages::PreferHuge => on_huge_pages(config).or_else(|error| match error.why_not_huge() {
            Some(reason) => on_base_pages(config, Some(reason)),
            None => Err(error),
        }),
    }
}

fn on_base_pages(
    config: &UmemConfig,
    pages_fallback: Option<String>,
) -> Result<(Region, budget::Reservation), UmemError> {
    let page_bytes = u64::from(page_size());
    let geometry = Geometry::of(config, None);
    let bytes = geometry.len_bytes();
    let mapped = bytes.next_multiple_of(page_bytes);
    let reservation = budget::Reservation::new(mapped, config.memory_limit)?;
    let _room = take_room(config)?;
    let memory = OwnMemory::new(mapped, Size::Base(page_bytes))
        .map_err(|source| UmemError::Map { bytes, source })?;
    let report = memory.report(mapped, page_bytes, pages_fallback);
    Ok((Region::new(geometry, memory, report), reservation))
}

fn on_huge_pages(config: &UmemConfig) -> Result<(Region, budget::Reservation), UmemError> {
    let page_bytes = HugePages::look()?.page_bytes;
    let geometry = Geometry::of(config, Some(page_bytes));
    let bytes = geometry.len_bytes();
    let mapped = bytes.next_multiple_of(page_bytes);
    let reservation = budget::Reservation::new(mapped, config.memory_limit)?;
    let attempt = || OwnMemory::new(mapped, Size::Huge(page_bytes));
    let memory = HugePages::map_patiently(bytes, mapped, attempt)?;
    let report = memory.report(mapped, page_bytes, None);
    Ok((Region::new(geometry, memory, report), reservation))
}
