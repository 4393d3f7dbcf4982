//! Compiles the C loops, with the system's `xdp/xsk.h` (Debian's libxdp-dev).

fn main() {
    println!("cargo:rerun-if-changed=src/libxdp.c");
    // As C programs are built, whatever this profile is.
    cc::Build::new()
        .file("src/libxdp.c")
        .opt_level(2)
        .warnings(true)
        .compile("libxdp_loops");
}
