//! How the engine of a benchmark ended.

use wharf::Summary;

use crate::exit::Failure;

/// Refuses the figures of an engine that failed, or that cannot account for each frame.
pub fn check_summary(summary: &Summary) -> Result<(), Failure> {
    summary
        .outcome
        .as_ref()
        .map_err(|error| Failure::Run(error.to_string()))?;
    if !summary.is_conserved() {
        return Err(Failure::Run(format!("frames are missing: {summary}")));
    }
    Ok(())
}
