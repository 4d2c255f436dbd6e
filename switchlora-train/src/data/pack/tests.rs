//! Properties of packing: every form gives the ids that the tokenizer gives each document, in any pieces, and resumed
//! at any point.

use super::super::packed::PackedTokens;
use super::super::{DataError, Tokenizer};
use super::*;
use flate2::write::GzEncoder;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use proptest::prelude::*;
use serde_json::json;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn packing(data: &[PathBuf], folder: &Path) -> Packing {
    Packing {
        data: data.to_vec(),
        field: FIELD.to_owned(),
        validation: Validation::None,
        on_malformed: OnMalformed::Fail,
        out: folder.join("out.tokens"),
        validation_out: folder.join("held-out.tokens"),
    }
}

fn ids(path: &Path) -> Vec<u32> {
    let tokens = PackedTokens::open(path).unwrap();
    let mut ids = vec![0; tokens.count() as usize];
    tokens.read(0, &mut ids).unwrap();
    ids
}

fn packed(packing: &Packing) -> Result<(Packed, Vec<u32>), DataError> {
    let tokenizer = Tokenizer::embedded().unwrap();
    let packed = pack(packing, &tokenizer, |_| ())?;
    let ids = ids(&packing.out);
    fs::remove_file(&packing.out).unwrap();
    Ok((packed, ids))
}

fn expected(documents: &[String]) -> Vec<u32> {
    let tokenizer = Tokenizer::embedded().unwrap();
    let one = |document: &String| {
        let mut ids = tokenizer.encode(document).unwrap();
        ids.push(tokenizer.end_of_text());
        ids
    };
    documents.iter().flat_map(one).collect()
}

fn lines(documents: &[String]) -> Vec<u8> {
    let line = |text: &String| json!({"text": text, "url": "x"}).to_string() + "\n";
    documents.iter().map(line).collect::<String>().into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A Parquet file with a column of numbers, then the column of texts; `None` is null.
fn parquet_file(
    path: &Path,
    column: &str,
    texts: &[Option<String>],
    compression: parquet::basic::Compression,
) {
    let schema = format!("message m {{ REQUIRED INT64 id; OPTIONAL BYTE_ARRAY {column} (UTF8); }}");
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .build();
    let file = File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).unwrap();
    for group in texts.chunks(3) {
        let mut rows = writer.next_row_group().unwrap();
        while let Some(mut column) = rows.next_column().unwrap() {
            match column.untyped() {
                ColumnWriter::Int64ColumnWriter(numbers) => {
                    let values: Vec<i64> = (0..group.len() as i64).collect();
                    numbers.write_batch(&values, None, None).unwrap();
                }
                ColumnWriter::ByteArrayColumnWriter(strings) => {
                    let values: Vec<_> = group
                        .iter()
                        .flatten()
                        .map(|t| ByteArray::from(t.as_str()))
                        .collect();
                    let there: Vec<i16> =
                        group.iter().map(|text| i16::from(text.is_some())).collect();
                    strings.write_batch(&values, Some(&there), None).unwrap();
                }
                _ => unreachable!("two columns"),
            }
            column.close().unwrap();
        }
        rows.close().unwrap();
    }
    writer.close().unwrap();
}

fn documents() -> Vec<String> {
    let document = |k: usize| {
        let sentence =
            format!("Document {k}: the state of the union, é世 and \"so\" on.\nLine\t{k}.\n\n");
        sentence.repeat([1, 3, 0, 40, 4000][k % 5])
    };
    (0..12).map(document).collect()
}

#[test]
fn every_form_gives_the_tokens_that_the_tokenizer_gives_each_document() {
    let folder = tempfile::tempdir().unwrap();
    let documents = documents();
    let expected = expected(&documents);
    let plain = lines(&documents);
    let files: [(&str, Vec<u8>); 5] = [
        ("a.jsonl", plain.clone()),
        ("a.json", plain.clone()),
        ("a.jsonl.gz", gzip(&plain)),
        // Two gzip members, as parallel compressors write.
        (
            "b.jsonl.gz",
            [gzip(&plain[..5000]), gzip(&plain[5000..])].concat(),
        ),
        ("a.ndjson.zst", zstd::encode_all(&*plain, 1).unwrap()),
    ];
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let (packed, found) = packed(&packing(&[path], folder.path())).unwrap();
        assert!(found == expected, "{name}");
        assert_eq!(packed.documents, [12, 0]);
        assert_eq!(packed.tokens, [expected.len() as u64, 0]);
        assert_eq!(
            packed.bytes,
            documents.iter().map(|d| d.len() as u64).sum::<u64>()
        );
    }
    let texts: Vec<_> = documents.iter().cloned().map(Some).collect();
    for compression in [
        parquet::basic::Compression::SNAPPY,
        parquet::basic::Compression::ZSTD(Default::default()),
    ] {
        let path = folder.path().join("a.parquet");
        parquet_file(&path, "text", &texts, compression);
        let (_, found) = packed(&packing(&[path], folder.path())).unwrap();
        assert!(found == expected, "{compression:?}");
    }
}

#[test]
fn a_file_is_one_document_however_long_and_however_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let text = documents().concat().repeat(6);
    assert!(text.len() > 2 << 20);
    let expected = expected(std::slice::from_ref(&text));
    let bytes = text.as_bytes();
    for (name, bytes) in [
        ("a.txt", bytes.to_vec()),
        ("b.md", ["\u{feff}".as_bytes(), bytes].concat()),
        ("c.txt.gz", gzip(bytes)),
        ("d.txt.zst", zstd::encode_all(bytes, 1).unwrap()),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let (packed, found) = packed(&packing(&[path], folder.path())).unwrap();
        assert!(found == expected, "{name}");
        assert_eq!(packed.documents, [1, 0]);
    }
}

#[test]
fn what_is_held_out_is_a_share_or_other_inputs_and_nothing_is_lost_or_doubled() {
    let folder = tempfile::tempdir().unwrap();
    let texts: Vec<String> = (0..300)
        .map(|k| format!("document number {k} of some"))
        .collect();
    let (a, b) = (folder.path().join("a.jsonl"), folder.path().join("b.jsonl"));
    fs::write(&a, lines(&texts)).unwrap();
    fs::write(&b, lines(&texts[..7])).unwrap();
    let share = Packing {
        validation: Validation::Share(0.2),
        ..packing(std::slice::from_ref(&a), folder.path())
    };
    let (packed_share, train) = packed(&share).unwrap();
    let held_out = ids(&share.validation_out);
    assert!((30..90).contains(&packed_share.documents[1]));
    assert_eq!(packed_share.documents.iter().sum::<u64>(), 300);
    let split =
        |ids: &[u32]| -> Vec<Vec<u32>> { ids.split(|&id| id == 0).map(<[u32]>::to_vec).collect() };
    let mut all = [split(&train), split(&held_out)].concat();
    let mut whole = [split(&expected(&texts)), vec![Vec::new()]].concat();
    all.sort();
    whole.sort();
    assert_eq!(all, whole);

    let other = Packing {
        validation: Validation::Paths(vec![b]),
        ..packing(&[a], folder.path())
    };
    let (packed_paths, train) = packed(&other).unwrap();
    assert_eq!(packed_paths.documents, [300, 7]);
    assert!(train == expected(&texts) && ids(&other.validation_out) == expected(&texts[..7]));
}

#[test]
fn work_that_was_stopped_anywhere_goes_on_and_ends_with_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let texts: Vec<String> = (0..60)
        .map(|k| format!("document {k} of some length. ").repeat(200 + 60 * k))
        .collect();
    let (a, b, c) = (
        folder.path().join("a.jsonl.gz"),
        folder.path().join("b.txt"),
        folder.path().join("c.jsonl"),
    );
    fs::write(&a, gzip(&lines(&texts))).unwrap();
    fs::write(&b, texts.concat()).unwrap();
    fs::write(
        &c,
        [&lines(&texts)[..], b"no JSON\n", &lines(&texts)[..]].concat(),
    )
    .unwrap();
    let tokenizer = Tokenizer::embedded().unwrap();
    let work = Packing {
        validation: Validation::Share(0.3),
        on_malformed: OnMalformed::Skip,
        ..packing(&[a, b, c], folder.path())
    };
    let whole = pack(&work, &tokenizer, |_| ()).unwrap();
    let files = || [&work.out, &work.validation_out].map(|path| fs::read(path).unwrap());
    let expected = files();
    let mut rounds = 0;
    for stop in 0.. {
        let [train, held_out] = [&work.out, &work.validation_out];
        fs::remove_file(train).unwrap();
        fs::remove_file(held_out).unwrap();
        // A panic in the middle leaves on the disk the same files as a kill.
        let mut count = 0;
        let stopped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pack(&work, &tokenizer, |_| {
                count += 1;
                assert!(count <= stop, "stopped on purpose");
            })
        }));
        if stopped.is_ok() {
            assert!(files() == expected);
            break;
        }
        let mut resumed = 0;
        let again = pack(&work, &tokenizer, |seen| resumed = seen.resumed).unwrap();
        assert!(resumed > 0 || stop == 0, "nothing was gone on with");
        assert!(files() == expected, "stopped after {stop} rounds");
        assert_eq!(
            (again.documents, again.tokens, again.bytes),
            (whole.documents, whole.tokens, whole.bytes)
        );
        assert_eq!(again.malformed.count, 1);
        rounds += 1;
    }
    assert!(rounds >= 3, "{rounds} rounds are few");
    let hidden = fs::read_dir(folder.path()).unwrap().filter(|e| {
        e.as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with('.')
    });
    assert_eq!(hidden.count(), 0);
}

#[test]
fn other_work_on_the_same_file_begins_again() {
    let folder = tempfile::tempdir().unwrap();
    let a = folder.path().join("a.txt");
    let text = "some words and some more of them. ".repeat(200_000);
    fs::write(&a, &text).unwrap();
    let tokenizer = Tokenizer::embedded().unwrap();
    let work = packing(std::slice::from_ref(&a), folder.path());
    let stop = |_| panic!("stopped on purpose");
    let stopped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        pack(&work, &tokenizer, stop)
    }));
    assert!(stopped.is_err() && folder.path().join(".out.tokens.progress").exists());
    fs::write(&a, text + "changed").unwrap();
    let mut resumed = 9;
    pack(&work, &tokenizer, |seen| resumed = seen.resumed).unwrap();
    assert_eq!(resumed, 0);
}

#[test]
fn what_is_no_document_is_named_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let error = |path: PathBuf, on_malformed| {
        let work = Packing {
            on_malformed,
            ..packing(&[path], folder.path())
        };
        packed(&work).unwrap_err().to_string()
    };
    use OnMalformed::{Fail, Skip};
    let bad = put("bad.jsonl", b"{\"text\": \"x\"}\n{\"text\": }\n");
    let said = error(bad, Fail);
    assert!(said.contains("bad.jsonl: line 2: not a JSON"), "{said}");
    let none = put("none.jsonl", b"{\"content\": \"x\"}\n");
    let said = error(none, Skip);
    assert!(
        said.contains("no document found") && said.contains("line 1") && said.contains("--field"),
        "{said}"
    );
    assert!(error(put("a.txt", b"text\0"), Skip).contains("byte 4 is NUL"));
    assert!(error(put("a.txt", b"caf\xe9 noir"), Skip).contains("not UTF-8 from byte 3"));
    assert!(error(put("a.txt", b"caf\xc3"), Skip).contains("not UTF-8 from byte 3"));
    let cut = gzip(&lines(&documents()));
    assert!(
        error(put("cut.jsonl.gz", &cut[..cut.len() / 2]), Skip)
            .contains("cut.jsonl.gz: cannot be read")
    );
    assert!(error(put("a.jsonl.gz", b"no gzip"), Skip).contains("a.jsonl.gz"));
    assert!(error(put("a.txt.zst", b"no zstd"), Skip).contains("a.txt.zst"));
    assert!(error(put("a.parquet", b"PAR1 no Parquet PAR1"), Skip).contains("a.parquet"));

    let path = folder.path().join("b.parquet");
    parquet_file(
        &path,
        "content",
        &[Some("x".into()), None],
        parquet::basic::Compression::UNCOMPRESSED,
    );
    let said = error(path.clone(), Skip);
    assert!(
        said.contains("no column \"text\", its columns are id, content"),
        "{said}"
    );
    let field = |field: &str, on_malformed| Packing {
        field: field.to_owned(),
        on_malformed,
        ..packing(std::slice::from_ref(&path), folder.path())
    };
    assert!(
        packed(&field("id", Skip))
            .unwrap_err()
            .to_string()
            .contains("holds no strings")
    );
    let (found, _) = packed(&field("content", Skip)).unwrap();
    assert_eq!((found.documents, found.malformed.count), ([1, 0], 1));
    assert!(
        packed(&field("content", Fail))
            .unwrap_err()
            .to_string()
            .contains("row 2")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn damaged_files_are_read_or_refused_and_harm_nothing(
        form in 0..4_usize, at: prop::sample::Index, bytes in prop::collection::vec(any::<u8>(), 0..9), cut: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let documents = documents()[..4].to_vec();
        let name = ["a.jsonl.gz", "a.jsonl.zst", "a.parquet", "a.jsonl"][form];
        let path = folder.path().join(name);
        let texts: Vec<_> = documents.iter().cloned().map(Some).collect();
        match form {
            0 => fs::write(&path, gzip(&lines(&documents))).unwrap(),
            1 => fs::write(&path, zstd::encode_all(&*lines(&documents), 1).unwrap()).unwrap(),
            2 => parquet_file(&path, "text", &texts, parquet::basic::Compression::SNAPPY),
            _ => fs::write(&path, lines(&documents)).unwrap(),
        }
        let mut content = fs::read(&path).unwrap();
        let at = at.index(content.len());
        let end = (at + bytes.len()).min(content.len());
        content[at..end].copy_from_slice(&bytes[..end - at]);
        if cut {
            content.truncate(end);
        }
        fs::write(&path, content).unwrap();
        let work = Packing { on_malformed: OnMalformed::Skip, ..packing(&[path], folder.path()) };
        let _ = packed(&work);
    }
}
