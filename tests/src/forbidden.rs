//! System calls that a filter over the process refuses, as a container's does.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// Has the calling thread, and what it starts, get `errno` for `call` if its first
/// argument, or none, is `first`.
///
/// # Panics
///
/// When the kernel does not take the filter.
pub fn forbid(call: i64, first: Option<u64>, errno: i32) {
    let condition = first.map(|value| {
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
            .expect("a call has arguments")
    });
    let rules = condition
        .map(|condition| vec![SeccompRule::new(vec![condition]).expect("there is a condition")]);
    let filter = SeccompFilter::new(
        BTreeMap::from([(call, rules.unwrap_or_default())]),
        SeccompAction::Allow,
        SeccompAction::Errno(errno.unsigned_abs()),
        std::env::consts::ARCH.try_into().expect("it is known"),
    );
    let filter: BpfProgram = filter
        .and_then(TryInto::try_into)
        .expect("a filter the kernel takes");
    seccompiler::apply_filter(&filter).expect("filters need no privilege");
}
