//! Namespaces: what is inside, who enters, and that nothing is left.

use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use std::{fs, thread};

use wharf_testbed::{Host, Link, require_privileges, require_program};

fn current_namespace() -> u64 {
    fs::metadata("/proc/thread-self/ns/net").unwrap().ino()
}

#[test]
fn work_runs_inside_and_the_caller_stays_outside() {
    if !require_privileges() {
        return;
    }
    let outside = current_namespace();
    let host = Host::new("inside").unwrap();

    let inside = host.run(current_namespace);
    let spawned = host.spawn(current_namespace).join().unwrap();

    assert_ne!(inside, outside);
    assert_eq!(inside, host.namespace_inode().unwrap());
    assert_eq!(spawned, inside);
    assert_eq!(current_namespace(), outside);
}

#[test]
fn work_borrows_from_its_caller_and_its_panic_arrives() {
    if !require_privileges() {
        return;
    }
    let host = Host::new("borrow").unwrap();
    let words = ["a", "b"];

    assert_eq!(host.run(|| words.len()), 2);
    let panicking = AssertUnwindSafe(|| host.run(|| panic!("from inside")));
    let panic = std::panic::catch_unwind(panicking).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"from inside"));
}

#[test]
fn entered_thread_returns_when_the_guard_is_dropped() {
    if !require_privileges() {
        return;
    }
    let (first, second) = (Host::new("first").unwrap(), Host::new("second").unwrap());
    let outside = current_namespace();

    let in_first = first.enter().unwrap();
    assert_eq!(current_namespace(), first.namespace_inode().unwrap());
    let in_second = second.enter().unwrap();
    assert_eq!(current_namespace(), second.namespace_inode().unwrap());
    let inherited = thread::spawn(current_namespace).join().unwrap();
    assert_eq!(inherited, second.namespace_inode().unwrap());
    drop(in_second);
    assert_eq!(current_namespace(), first.namespace_inode().unwrap());
    drop(in_first);

    assert_eq!(current_namespace(), outside);
}

#[test]
fn host_has_only_loopback_up_and_without_ipv6() {
    if !require_privileges() {
        return;
    }
    let host = Host::new("bare").unwrap();
    let with_ipv6 = Host::with_ipv6("bare").unwrap();
    let read_switch =
        || fs::read_to_string("/proc/sys/net/ipv6/conf/default/disable_ipv6").unwrap();

    assert_eq!(host.interface_names().unwrap(), ["lo"]);
    assert!(host.interface("lo").unwrap().status().unwrap().is_up);
    assert_eq!(host.run(read_switch), "1\n");
    assert_eq!(with_ipv6.run(read_switch), "0\n");
}

/// Whether a thread of this process is in the namespace, or a descriptor of it
/// refers to it.
fn is_held(inode: u64) -> bool {
    let wanted = format!("net:[{inode}]");
    let points_there =
        |path: std::path::PathBuf| fs::read_link(path).is_ok_and(|to| to.as_os_str() == &*wanted);
    let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().flatten();
    threads
        .map(|thread| thread.path().join("ns/net"))
        .chain(descriptors.map(|descriptor| descriptor.path()))
        .any(points_there)
}

#[test]
fn nothing_holds_the_namespace_after_the_last_handle() {
    if !require_privileges() {
        return;
    }
    let host = Host::new("gone").unwrap();
    let inode = host.namespace_inode().unwrap();
    let link = Link::between(&host, &host).create().unwrap();
    let clone = host.clone();
    host.run(|| ());

    drop(host);
    drop(clone);
    assert!(is_held(inode), "the link keeps its host");
    drop(link);

    assert!(!is_held(inode));
}

#[test]
fn other_processes_can_enter_by_path() {
    if !require_privileges() || !require_program("nsenter") {
        return;
    }
    let host = Host::new("open").unwrap();

    let output = std::process::Command::new("nsenter")
        .arg(format!("--net={}", host.namespace_path().display()))
        .args(["readlink", "/proc/self/ns/net"])
        .output()
        .unwrap();

    let expected = format!("net:[{}]\n", host.namespace_inode().unwrap());
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[test]
fn descriptor_is_the_namespace() {
    if !require_privileges() {
        return;
    }
    let host = Host::new("passed").unwrap();

    let copy = host.as_fd().try_clone_to_owned().unwrap();

    let inode = fs::File::from(copy).metadata().unwrap().ino();
    assert_eq!(inode, host.namespace_inode().unwrap());
}

/// Run as a child by [`sigkill_leaves_no_child_behind`]; does nothing else.
#[test]
fn helper_process_that_waits_to_be_killed() {
    if std::env::var_os("TESTBED_HELPER").is_none() {
        return;
    }
    let host = Host::new("victim").unwrap();
    let child = host.command("sleep").arg("600").spawn().unwrap();
    println!("child {}", child.id());
    thread::sleep(Duration::from_secs(60));
}

#[test]
fn sigkill_leaves_no_child_behind() {
    if !require_privileges() {
        return;
    }
    let host = Host::new("watch").unwrap();
    let this_binary = std::env::current_exe().unwrap();
    let mut helper = host
        .command(this_binary.to_str().unwrap())
        .args(["--exact", "helper_process_that_waits_to_be_killed"])
        .arg("--nocapture")
        .env("TESTBED_HELPER", "1")
        .spawn()
        .unwrap();
    helper
        .wait_for_output("child ", Duration::from_secs(20))
        .unwrap();
    helper
        .wait_for_output("\n", Duration::from_secs(20))
        .unwrap();
    let said = helper.stdout();
    let id = said.split("child ").nth(1).unwrap();
    let id: u32 = id.split_whitespace().next().unwrap().parse().unwrap();
    let sleeper = std::path::PathBuf::from(format!("/proc/{id}"));
    assert!(sleeper.exists());

    // The guard kills the group; the sleeper has a group of its own, and only
    // the kernel's parent-death signal can reach it.
    drop(helper);

    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while sleeper.exists() && !is_zombie(&sleeper) {
        assert!(
            std::time::Instant::now() < deadline,
            "the child outlived its process"
        );
        thread::yield_now();
    }
}

fn is_zombie(process: &std::path::Path) -> bool {
    fs::read_to_string(process.join("stat")).is_ok_and(|stat| stat.contains(") Z "))
}
