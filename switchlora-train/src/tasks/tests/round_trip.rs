//! Texts come back from each form as they were written.

use super::super::{CustomTask, LabelKind, RawExample};
use proptest::prelude::*;
use std::fs;
use std::path::Path;

fn read(path: &Path) -> Vec<(String, String)> {
    let task = CustomTask {
        first: "text".to_owned(),
        second: Some("other".to_owned()),
        label: "label".to_owned(),
        kind: LabelKind::Classes,
    };
    let row = |row: RawExample| (row.first, row.second.unwrap());
    task.read(path).unwrap().into_iter().map(row).collect()
}

proptest! {
    #[test]
    fn texts_without_tabs_and_line_ends_from_tsv(
        rows in prop::collection::vec(("[a\"', é世\u{85}\\\\]{0,9}", "[a\"', ]{0,9}"), 1..9),
        end in prop::sample::select(vec!["\n", "\r\n"]),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tsv");
        let lines = rows.iter().map(|(text, other)| format!("{other}\tx\t{text}{end}"));
        fs::write(&path, format!("other\tlabel\ttext{end}{}", lines.collect::<String>())).unwrap();
        prop_assert_eq!(read(&path), rows);
    }

    #[test]
    fn any_texts_from_csv_and_json(
        rows in prop::collection::vec(("[a\"',\n\r\t é世]{0,9}", any::<String>()), 1..9),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let mut writer = csv::Writer::from_path(&path).unwrap();
        writer.write_record(["text", "label", "other"]).unwrap();
        for (text, other) in &rows {
            writer.write_record([text, "x", other]).unwrap();
        }
        writer.flush().unwrap();
        prop_assert_eq!(&read(&path), &rows);
        let path = path.with_extension("jsonl");
        let object = |(text, other): &(String, String)| {
            format!("{}\n", serde_json::json!({"text": text, "label": 1, "other": other}))
        };
        fs::write(&path, rows.iter().map(object).collect::<String>()).unwrap();
        prop_assert_eq!(&read(&path), &rows);
    }
}
