//! The targets on every run: their seeds, seeds with changes, and random bytes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::TARGETS;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn seeds(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = fuzz().join("seeds").join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut seeds: Vec<_> = entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "{} holds nothing", folder.display());
    seeds
}

/// One change of a seed: bytes taken out at a place, and others put there.
#[derive(Clone, Debug)]
struct Change {
    at: prop::sample::Index,
    out: usize,
    put: Vec<u8>,
}

/// What parsers trip over, and random bytes.
fn change() -> impl Strategy<Value = Change> {
    let telling: &[&[u8]] = &[
        b"/",
        b"//",
        b"..",
        b"%2F",
        b"%2e",
        b";",
        b"\\",
        b"\r\n",
        b"\n",
        b"\0",
        b"\t",
        b" ",
        b",",
        b"\"",
        b"=",
        b"%",
        b"\xc3\xa9",
        b"\xff",
        b"{",
        b"}",
        b"[",
        b":",
        b"0",
        b"-",
        b"_",
        b"@",
        b"?",
        b"#",
        b"null",
        b"chunked",
        b"Content-Length: 3\r\n",
    ];
    let put = prop_oneof![
        3 => prop::sample::select(telling.to_vec()).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    (any::<prop::sample::Index>(), 0_usize..4, put).prop_map(|(at, out, put)| Change { at, out, put })
}

fn changed(seed: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for change in changes {
        let at = change.at.index(bytes.len() + 1);
        let end = (at + change.out).min(bytes.len());
        bytes.splice(at..end, change.put.iter().copied());
    }
    bytes
}

fn twin(name: &str, cases: u32) {
    let (_, target) = TARGETS.iter().find(|(one, _)| *one == name).unwrap();
    let seeds = seeds(name);
    for (path, seed) in &seeds {
        eprintln!("seed {}", path.display());
        target(seed);
    }
    let seeds: Vec<Vec<u8>> = seeds.into_iter().map(|(_, seed)| seed).collect();
    let bytes = prop_oneof![
        4 => (prop::sample::select(seeds), prop::collection::vec(change(), 1..6)).prop_map(|(seed, changes)| changed(&seed, &changes)),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ];
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    runner
        .run(&bytes, |bytes| {
            target(&bytes);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("put these bytes into fuzz/seeds/{name}: {error}"));
}

macro_rules! twins {
    ($($name:ident $cases:literal,)*) => {
        $(
            #[test]
            fn $name() {
                twin(stringify!($name), $cases);
            }
        )*

        /// Each target has its twin here, its seeds, its file and its place in the manifest; and nothing else is there.
        #[test]
        fn every_target_is_everywhere() {
            let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
            assert_eq!(names, [$(stringify!($name).to_owned()),*].into());
            let listed = |folder: &str| -> BTreeSet<String> {
                let entries = fs::read_dir(fuzz().join(folder)).unwrap();
                entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect()
            };
            assert_eq!(listed("fuzz_targets"), names);
            assert_eq!(listed("seeds"), names);
            let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
            for name in &names {
                let program = fs::read_to_string(fuzz().join("fuzz_targets").join(format!("{name}.rs"))).unwrap();
                assert!(program.contains(&format!("fuzzing::{name}(")), "{name}.rs runs another");
                assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name} is not in fuzz/Cargo.toml");
            }
            assert_eq!(manifest.matches("[[bin]]").count(), names.len());
        }
    };
}

twins! {
    answers 512,
    configuration 40,
    cookies 512,
    exchange 128,
    form 512,
    frames 512,
    framing 512,
    headers 512,
    keys 128,
    paths 1024,
    provider_answers 512,
    provider_claims 512,
    request 256,
    return_to 512,
    sealed 256,
    signed 256,
    tokens 256,
}
