//! UMEMs over memory that someone else owns: what is refused and with which words, and
//! how long the owner is kept, whatever becomes of the frames.
#![expect(unsafe_code, reason = "adopts memory that each case made for itself")]

use std::fs::File;
use std::io;
use std::mem::{forget, swap};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use wharf::{ForeignMemory, ForeignMemoryError, MemorySource, Pages, Umem, UmemConfig, UmemError};

const CHUNKS: u32 = 16;
const CHUNK: u64 = 4096;
const BYTES: u64 = CHUNKS as u64 * CHUNK;

fn memfd(bytes: u64, flags: MemfdFlags) -> File {
    let file = memfd_create("foreign", MemfdFlags::CLOEXEC | flags).expect("a memfd");
    let file = File::from(file);
    file.set_len(bytes).expect("memory");
    file
}

fn sealable(bytes: u64) -> File {
    memfd(bytes, MemfdFlags::ALLOW_SEALING)
}

fn adopt(memory: ForeignMemory) -> Result<Umem, UmemError> {
    adopt_as(&UmemConfig::new(CHUNKS), memory)
}

fn adopt_as(config: &UmemConfig, memory: ForeignMemory) -> Result<Umem, UmemError> {
    // SAFETY: each case makes memory for itself, and looks at it only through frames
    // while there are some, except by `read_at` while nothing is written. Where the same
    // memory is adopted twice, that is refused.
    unsafe { Umem::adopt(config, memory) }
}

fn as_memfd<F: Into<OwnedFd>>(file: F, offset: u64) -> ForeignMemory {
    let file = file.into();
    ForeignMemory::Memfd { file, offset }
}

fn as_file<F: Into<OwnedFd>>(file: F, offset: u64) -> ForeignMemory {
    let file = file.into();
    ForeignMemory::File { file, offset }
}

#[track_caller]
fn refused(umem: Result<Umem, UmemError>) -> ForeignMemoryError {
    match umem {
        Err(UmemError::Foreign(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// Memory of a case, unmapped when it drops, which is noticed.
struct Mapped {
    start: NonNull<u8>,
    len: usize,
    dropped: Arc<AtomicBool>,
}

// SAFETY: a mapping is the process's.
unsafe impl Send for Mapped {}

impl Mapped {
    fn new(bytes: u64) -> (Self, Arc<AtomicBool>) {
        Self::of(bytes, None, libc::PROT_READ | libc::PROT_WRITE)
    }

    fn of(bytes: u64, file: Option<&File>, protection: i32) -> (Self, Arc<AtomicBool>) {
        let len = usize::try_from(bytes).expect("it is small");
        let (flags, fd) = match file {
            Some(file) => (libc::MAP_SHARED, file.as_raw_fd()),
            None => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1),
        };
        // SAFETY: the kernel chooses an unused range.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, fd, 0) };
        assert_ne!(start, libc::MAP_FAILED, "{}", io::Error::last_os_error());
        let dropped = Arc::new(AtomicBool::new(false));
        let mapped = Self {
            start: NonNull::new(start.cast()).expect("no zero page"),
            len,
            dropped: Arc::clone(&dropped),
        };
        (mapped, dropped)
    }

    /// Has a page of it changed by `call`.
    fn change(&self, page: usize, call: unsafe fn(*mut libc::c_void, usize) -> i32) {
        let start = self.start.as_ptr().wrapping_add(page * 4096);
        // SAFETY: the page is this mapping's, and nobody looks at it.
        assert_eq!(unsafe { call(start.cast(), 4096) }, 0);
    }

    fn into_memory(self) -> ForeignMemory {
        let (start, len) = (self.start, self.len);
        ForeignMemory::Mapping {
            start,
            len,
            owner: Box::new(self),
        }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::SeqCst);
        // SAFETY: it is mapped, and nobody looks at it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

fn is_set(flag: &AtomicBool) -> bool {
    flag.load(Ordering::SeqCst)
}

#[test]
fn frames_in_a_memfd_of_another_owner_are_bytes_of_that_file() {
    let file = sealable(BYTES + 2 * CHUNK);
    let twin = file.try_clone().expect("a descriptor");
    let umem = adopt(as_memfd(file, 2 * CHUNK)).expect("it is large enough");
    assert_eq!(umem.memory().source, MemorySource::ForeignMemfd);
    assert_eq!((umem.memory().bytes, umem.chunks()), (BYTES, CHUNKS));

    let mut frames: Vec<_> = std::iter::from_fn(|| umem.allocate()).collect();
    for (number, frame) in (1..).zip(&mut frames) {
        frame.grow_back(8).expect("room").fill(number);
    }

    let mut bytes = vec![0; usize::try_from(BYTES + 2 * CHUNK).expect("small")];
    twin.read_exact_at(&mut bytes, 0).expect("all of it");
    let written: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
    assert_eq!(written.len(), 8 * frames.len());
    assert!(
        bytes[..8192].iter().all(|byte| *byte == 0),
        "before the offset"
    );
}

#[test]
fn memfd_is_sealed_against_shrinking() {
    let file = sealable(BYTES);
    let twin = file.try_clone().expect("a descriptor");

    let umem = adopt(as_memfd(file, 0)).expect("it can be sealed");

    assert!(
        fcntl_get_seals(&twin)
            .expect("seals")
            .contains(SealFlags::SHRINK)
    );
    let refusal = twin.set_len(0).expect_err("sealed");
    assert_eq!(refusal.raw_os_error(), Some(libc::EPERM));
    twin.set_len(BYTES + CHUNK).expect("it may become longer");
    drop(umem);
}

#[test]
fn files_that_could_be_truncated_are_refused_unless_vouched_for() {
    let unsealable = memfd(BYTES, MemfdFlags::empty());
    let error = refused(adopt(as_memfd(unsealable, 0)));
    let text = error.to_string();
    for needle in ["F_SEAL_SEAL", "SIGBUS", "ForeignMemory::File"] {
        assert!(text.contains(needle), "{text}");
    }

    let unsealable = memfd(BYTES, MemfdFlags::empty());
    let umem = adopt(as_file(unsealable, 0)).expect("the case does not truncate it");
    assert_eq!(umem.memory().source, MemorySource::ForeignFile);
}

#[test]
fn seals_against_writing_are_named() {
    for (seal, word) in [
        (SealFlags::WRITE, "sealed against writing,"),
        (SealFlags::FUTURE_WRITE, "against writing in future"),
    ] {
        for adopt_so in [as_memfd::<File> as fn(File, u64) -> ForeignMemory, as_file] {
            let file = sealable(BYTES);
            fcntl_add_seals(&file, seal).expect("it may be sealed");

            let error = refused(adopt(adopt_so(file, 0)));

            assert!(error.to_string().contains(word), "{error}");
        }
    }
}

#[test]
fn memory_that_is_too_small_or_became_so_is_refused_with_both_numbers() {
    let shrunk = memfd(BYTES, MemfdFlags::empty());
    shrunk.set_len(BYTES - 1).expect("nobody has it yet");
    for (memory, there) in [
        (as_memfd(sealable(BYTES - 1), 0), BYTES - 1),
        (as_memfd(sealable(0), 0), 0),
        (as_memfd(sealable(BYTES), CHUNK), BYTES - CHUNK),
        (as_memfd(sealable(BYTES), 1 << 40), 0),
        (as_memfd(sealable(BYTES), u64::MAX - 4095), 0),
        (as_file(shrunk, 0), BYTES - 1),
        (Mapped::new(BYTES - CHUNK).0.into_memory(), BYTES - CHUNK),
    ] {
        let error = refused(adopt(memory));

        let said = match error {
            ForeignMemoryError::TooSmall { needed, there } => (needed, there),
            other => panic!("{other}"),
        };
        assert_eq!(said, (BYTES, there));
    }
}

#[test]
fn offsets_and_addresses_between_pages_are_refused() {
    for offset in [1, 2048, u64::MAX] {
        let error = refused(adopt(as_memfd(sealable(2 * BYTES), offset)));
        assert!(
            error
                .to_string()
                .contains("is not a multiple of the page size, 4096"),
            "{error}"
        );
    }
    let (mapped, _) = Mapped::new(2 * BYTES);
    let start = NonNull::new(mapped.start.as_ptr().wrapping_add(64)).expect("not zero");
    let len = mapped.len - 64;
    let memory = ForeignMemory::Mapping {
        start,
        len,
        owner: Box::new(mapped),
    };

    let error = refused(adopt(memory));

    assert!(
        matches!(error, ForeignMemoryError::Misaligned { of: "address", .. }),
        "{error}"
    );
}

#[test]
fn descriptors_that_cannot_write_are_refused() {
    use std::os::fd::AsRawFd;
    let file = sealable(BYTES);
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let mut write_only = File::options();
    write_only.write(true);
    let mut read_only = File::options();
    read_only.read(true);
    let mut of_the_path = File::options();
    of_the_path.read(true).custom_flags(libc::O_PATH);

    for options in [read_only, write_only, of_the_path] {
        let opened = options.open(&path).expect("it can be opened");
        let error = refused(adopt(as_memfd(opened, 0)));
        assert!(
            matches!(error, ForeignMemoryError::FileNotWritable),
            "{error}"
        );
    }
}

#[test]
fn what_is_no_memory_is_named() {
    let (reader, _writer) = std::io::pipe().expect("a pipe");
    let (socket, _other) = std::os::unix::net::UnixStream::pair().expect("two sockets");
    let directory = File::open(Path::new("/")).expect("a directory");
    let writable = || {
        let mut options = File::options();
        options.read(true).write(true);
        options
    };
    let null = writable().open("/dev/null").expect("it is there");
    let on_disk = writable()
        .create_new(true)
        .open(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("disk-{}", std::process::id())))
        .expect("a new file");
    on_disk.set_len(BYTES).expect("a hole");
    let is_disk = rustix::fs::fstatfs(&on_disk).expect("some").f_type != 0x0102_1994;

    let cases: [(OwnedFd, &str); 4] = [
        (reader.into(), "a pipe"),
        (socket.into(), "a socket"),
        (directory.into(), "a directory"),
        (null.into(), "mmap of the file"),
    ];
    for (descriptor, word) in cases {
        let error = refused(adopt(as_file(descriptor, 0)));
        assert!(error.to_string().contains(word), "{error}");
    }
    if is_disk {
        let error = refused(adopt(as_file(on_disk, 0)));
        assert!(
            error
                .to_string()
                .contains("a file system that is not memory"),
            "{error}"
        );
    }
}

#[test]
fn same_memory_in_two_umems_is_refused_until_the_first_is_gone() {
    let file = sealable(2 * BYTES);
    let twin = || file.try_clone().expect("a descriptor");
    let first = adopt(as_memfd(twin(), 0)).expect("nobody has it");
    let frame = first.allocate().expect("a free chunk");

    for offset in [0, CHUNK, BYTES - CHUNK] {
        let error = refused(adopt(as_memfd(twin(), offset)));
        assert!(
            matches!(error, ForeignMemoryError::InUse),
            "{offset}: {error}"
        );
    }
    let (mapped, _) = Mapped::of(2 * BYTES, Some(&file), libc::PROT_READ | libc::PROT_WRITE);
    let error = refused(adopt(mapped.into_memory()));
    assert!(
        matches!(error, ForeignMemoryError::InUse),
        "another mapping of it: {error}"
    );
    let second = adopt(as_memfd(twin(), BYTES)).expect("the other half is free");

    drop(first);
    assert!(adopt(as_memfd(twin(), 0)).is_err(), "a frame is there");
    drop(frame);
    assert!(adopt(as_memfd(twin(), 0)).is_ok());
    drop(second);
}

#[test]
fn mappings_that_are_not_for_writing_or_have_gaps_are_refused_with_the_address() {
    unsafe fn read_only(start: *mut libc::c_void, len: usize) -> i32 {
        // SAFETY: by the caller.
        unsafe { libc::mprotect(start, len, libc::PROT_READ) }
    }
    unsafe fn closed(start: *mut libc::c_void, len: usize) -> i32 {
        // SAFETY: by the caller.
        unsafe { libc::mprotect(start, len, libc::PROT_NONE) }
    }
    unsafe fn gone(start: *mut libc::c_void, len: usize) -> i32 {
        // SAFETY: by the caller.
        unsafe { libc::munmap(start, len) }
    }
    let last = CHUNKS as usize - 1;
    for (call, word) in [
        (
            read_only as unsafe fn(*mut libc::c_void, usize) -> i32,
            "read-only",
        ),
        (closed, "not readable"),
        (gone, "not mapped"),
    ] {
        for page in [0, 5, last] {
            let (mapped, dropped) = Mapped::new(BYTES);
            mapped.change(page, call);
            let address = mapped.start.as_ptr().addr() + page * 4096;

            let error = refused(adopt(mapped.into_memory()));

            assert_eq!(
                error.to_string(),
                format!(
                    "the memory at {address:#x} is {word}: map all of it for reading and writing, without a gap"
                )
            );
            assert!(is_set(&dropped), "the owner has it back");
        }
    }
}

#[test]
fn mappings_beside_one_of_a_file_whose_name_is_no_text_are_taken() {
    let name = std::ffi::OsStr::from_bytes(b"wharf-\xff-");
    let path = std::env::temp_dir().join(name);
    let path = path.with_extension(std::process::id().to_string());
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .expect("a new file");
    std::fs::remove_file(&path).expect("it is there");
    file.set_len(CHUNK).expect("a page");
    let (_named, _) = Mapped::of(CHUNK, Some(&file), libc::PROT_READ);
    let (mapped, _) = Mapped::new(BYTES);

    let umem = adopt(mapped.into_memory()).expect("memory like any other");

    assert_eq!(umem.audit().pool, CHUNKS);
}

#[test]
fn mapping_that_has_the_same_pages_twice_is_refused() {
    let file = sealable(BYTES / 2);
    let (mapped, _) = Mapped::of(BYTES, Some(&file), libc::PROT_READ | libc::PROT_WRITE);
    // The second half, which lies behind the end of the file, becomes the first once more.
    let half = mapped.len / 2;
    let second = mapped.start.as_ptr().wrapping_add(half).cast();
    let flags = libc::MAP_SHARED | libc::MAP_FIXED;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the range is this mapping's, and nobody looks at it.
    let again = unsafe { libc::mmap(second, half, protection, flags, file.as_raw_fd(), 0) };
    assert_eq!(again, second);

    let error = refused(adopt(mapped.into_memory()));

    let text = error.to_string();
    assert!(
        text.contains(&format!("{second:?} is mapped a second time")),
        "{text}"
    );
}

#[test]
fn owner_is_dropped_with_the_last_frame_on_whatever_thread() {
    let (mapped, dropped) = Mapped::new(BYTES);
    let umem = adopt(mapped.into_memory()).expect("memory");
    assert_eq!(umem.memory().source, MemorySource::ForeignMapping);
    let frame = umem.allocate().expect("a free chunk");
    let mut detached = umem.allocate().expect("another").detach();

    drop(umem);
    assert!(!is_set(&dropped), "two frames are left");
    drop(frame);
    assert!(!is_set(&dropped), "one is detached");
    let there = thread::spawn(move || {
        detached.fill(3);
        drop(detached);
    });

    there.join().expect("no panic");
    assert!(is_set(&dropped));
}

#[test]
fn owner_of_a_forgotten_frame_is_kept() {
    let (mapped, dropped) = Mapped::new(BYTES);
    let umem = adopt(mapped.into_memory()).expect("memory");

    forget(umem.allocate().expect("a free chunk"));
    drop(umem);

    assert!(!is_set(&dropped));
}

#[test]
fn exchanged_frames_keep_the_owner_that_they_lie_with() {
    let (first, first_dropped) = Mapped::new(BYTES);
    let (second, second_dropped) = Mapped::new(BYTES);
    let mut a = adopt(first.into_memory()).expect("memory");
    let mut b = adopt(second.into_memory()).expect("memory");
    let mut of_a = a.allocate().expect("a free chunk");
    let mut of_b = b.allocate().expect("a free chunk");
    of_a.grow_back(1).expect("room")[0] = b'a';
    of_b.grow_back(1).expect("room")[0] = b'b';

    swap(&mut of_a, &mut of_b);
    swap(&mut a, &mut b);
    drop(a);
    drop(of_a);

    assert!(is_set(&second_dropped) && !is_set(&first_dropped));
    assert_eq!(&*of_b, b"a");
    drop((b, of_b));
    assert!(is_set(&first_dropped));
}

#[test]
fn heap_memory_will_do_and_is_as_it_was_for_children() {
    let mut vector = vec![0_u8; usize::try_from(BYTES + CHUNK).expect("small")];
    let skip = vector.as_ptr().align_offset(4096);
    let start = NonNull::new(vector.as_mut_ptr().wrapping_add(skip)).expect("not zero");
    let len = vector.len() - skip;
    // Kept by the case, which does not touch it.
    let owner = Arc::new(vector);
    let memory = ForeignMemory::Mapping {
        start,
        len,
        owner: Box::new(Arc::clone(&owner)),
    };
    let umem = adopt(memory).expect("memory");

    let mut frame = umem.allocate().expect("a free chunk");
    frame.grow_back(100).expect("room").fill(0xaa);

    let (there, of_children) = (start.as_ptr().addr(), || {
        let smaps = std::fs::read_to_string("/proc/self/smaps").expect("our own");
        left_out_of_children(&smaps, start.as_ptr().addr())
    });
    assert!(of_children(), "{there:#x}");
    drop((umem, frame));
    assert!(!of_children(), "{there:#x}");
    assert_eq!(Arc::strong_count(&owner), 1);
    assert!(
        owner.iter().all(|byte| *byte == 0),
        "the pages were replaced"
    );
}

fn left_out_of_children(smaps: &str, address: usize) -> bool {
    let mut inside = false;
    for line in smaps.lines() {
        let range = line.split(' ').next().and_then(|word| word.split_once('-'));
        if let Some((start, end)) = range {
            let number = |text| usize::from_str_radix(text, 16).ok();
            inside = number(start).is_some_and(|start| start <= address)
                && number(end).is_some_and(|end| address < end);
        } else if inside && line.starts_with("VmFlags:") {
            return line.split_whitespace().any(|flag| flag == "dc");
        }
    }
    panic!("{address:#x} is not mapped");
}

#[test]
fn limits_and_demands_hold_for_foreign_memory_too() {
    let config = UmemConfig {
        memory_limit: Some(0),
        ..UmemConfig::new(CHUNKS)
    };
    let error = adopt_as(&config, as_memfd(sealable(BYTES), 0)).expect_err("no byte is allowed");
    assert!(
        matches!(error, UmemError::MemoryLimit { request: BYTES, .. }),
        "{error}"
    );

    let config = UmemConfig {
        pages: Pages::Huge,
        ..UmemConfig::new(CHUNKS)
    };
    let error = refused(adopt_as(&config, as_memfd(sealable(BYTES), 0)));
    assert!(
        matches!(error, ForeignMemoryError::NotHuge { page_bytes: CHUNK }),
        "{error}"
    );

    let error = adopt_as(&UmemConfig::new(0), as_memfd(sealable(BYTES), 0));
    assert!(matches!(error, Err(UmemError::Config(_))));
}
