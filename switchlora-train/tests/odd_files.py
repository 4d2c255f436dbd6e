"""Writes odd text files into a folder, and what Python's own readers make of them into `cases.json`.

    python3 odd_files.py FOLDER [FIXTURES]

With a second folder, the files that need `pyarrow` or `zstandard` are copied there, except those of more than 5 kB, with
their cases: so `tests/fixtures/odd` was made (with pyarrow 26.0.1 and zstandard 0.25.0), and the tests read these files
where neither is installed. The readers are `gzip`, `json` and plain decoding of the standard library, and, if they are installed, `pyarrow` and
`zstandard`. Each case is a file, the field of its documents, and one of

    documents   what Python reads, which must be read here too
    refused     a part of the one line that refuses the file

and, with documents, `skipped`: the lines or rows that Python refuses alone and that are passed over here.
"""

import bz2, gzip, io, json, lzma, pathlib, shutil, struct, sys, tarfile, zipfile, zlib

FOLDER = pathlib.Path(sys.argv[1])
CASES = []


def case(name, data, documents=None, refused=None, skipped=0, field="text"):
    if data is not None:
        (FOLDER / name).write_bytes(data)
    CASES.append(dict(file=name, field=field, documents=documents, refused=refused, skipped=skipped))


def raises(read, *arguments):
    """Holds that Python refuses the file too."""
    try:
        read(*arguments)
    except Exception:
        return
    raise AssertionError(f"Python reads {arguments}")


# --- Text


def text(data):
    return [data.decode("utf-8-sig")]


for name, data in {
    "bom.txt": b"\xef\xbb\xbfbyte order mark",
    "crlf.txt": b"one\r\ntwo\r\n",
    "cr.txt": b"one\rtwo\r",
    "blank.txt": b" \n\n\t\n",
    "separators.txt": "form\x0cfeed \u2028 \x85 \x1c end".encode(),
    "UPPER.TXT": b"a name in capital letters",
    "noextension": b"no extension",
    "looks.like.json.txt": b'{"text": "a"}\n{"text": "b"}\n',
    "parquet-like.txt": b"PAR1 is what a Parquet file begins with.\n",
    "lfs-like.txt": b"version 1 of https://git-lfs.github.com/spec/v1\n",
    "surrogate-pair.txt": "\U0001f600 \ufffd \ufffe".encode(),
}.items():
    case(name, data, text(data))

case("nul.txt", b"one\ntwo\0three", refused="byte 7 is NUL (on line 2)")
case("latin1.txt", "eins\nzwei ä".encode("latin-1"), refused="not UTF-8 from byte 10 on (on line 2)")
case("surrogate.txt", b"half \xed\xa0\x80 pair", refused="not UTF-8 from byte 5")
case("utf16.txt", "text".encode("utf-16"), refused="UTF-16")
case("utf16-be.txt", b"\xfe\xff" + "text".encode("utf-16-be"), refused="UTF-16")
case("utf16-no-bom.txt", "text".encode("utf-16-le"), refused="UTF-16")
case("utf32.txt", "text".encode("utf-32"), refused="UTF-32")
case("only-bom.txt", b"\xef\xbb\xbf", refused="no document")
case("empty.txt", b"", refused="empty")
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1048576\n"
for name in ["lfs.txt", "lfs.jsonl", "lfs.json.gz", "lfs.jsonl.zst", "lfs.parquet", "lfs.txt.gz"]:
    case(name, POINTER, refused="is a Git LFS pointer, not the file itself; run `git lfs pull`")

# --- JSON


def lines(data, field="text"):
    """As people read JSON lines: the text file's lines, each with `json.loads`."""
    return [json.loads(line)[field] for line in io.TextIOWrapper(io.BytesIO(data), "utf-8-sig") if line.strip()]


def whole(data, field="text"):
    """As people read a JSON file: `json.load`, and the elements of an array."""
    value = json.loads(data.decode("utf-8-sig"))
    values = value if isinstance(value, list) else [value]
    return [value if isinstance(value, str) else value[field] for value in values]


def sequence(data, field="text"):
    """Values one after the other, as the decoder of `json` reads each."""
    text, found, decoder = data.decode("utf-8-sig").strip(), [], json.JSONDecoder()
    while text:
        value, end = decoder.raw_decode(text)
        found.append(value[field])
        text = text[end:].strip()
    return found


TWO = [{"text": "one", "id": 1}, {"text": "two\n\"2\" é世\u2028", "meta": {"text": "no"}}]
PLAIN = b"".join(json.dumps(value).encode() + b"\n" for value in TWO)
RAW = b"".join(json.dumps(value, ensure_ascii=False).encode() + b"\n" for value in TWO)
deep = b"[" * 400 + b"]" * 400
for name, data in {
    "plain.jsonl": PLAIN,
    "raw.jsonl": RAW,
    "bom.jsonl": b"\xef\xbb\xbf" + RAW,
    "crlf.jsonl": RAW.replace(b"\n", b"\r\n"),
    "cr.jsonl": RAW.replace(b"\n", b"\r"),
    "blank-lines.jsonl": b"\n  \n" + RAW.replace(b"\n", b"\n\n \t \n"),
    "no-end.jsonl": RAW[:-1],
    "capitals.JSONL": RAW,
    "same.ndjson": RAW,
    "same.jsonlines": RAW,
    "nan.jsonl": b'{"text": "NaN, NaN", "x": NaN, "y": [Infinity, -Infinity], "z": "\\": NaN"}\n' * 3,
    "big-numbers.jsonl": b'{"x": 1e999, "y": -123456789012345678901234567890, "text": "numbers"}\n',
    "deep.jsonl": b'{"x": ' + deep + b', "text": "deep"}\n',
    "duplicates.jsonl": b'{"text": "first", "text": 1, "text": null, "text": "last"}\n',
    "escaped-name.jsonl": b'{"te\\u0078t": "escaped"}\n',
    "odd-names.jsonl": b'{"": 1, "\\ud800": 2, "a\\u0000": 3, "text": "odd names"}\n',
    "lone-surrogate-elsewhere.jsonl": b'{"title": "\\udc00\\ud800", "text": "fine"}\n',
    "pair.jsonl": b'{"text": "\\ud83d\\ude00"}\n',
    "nul.jsonl": b'{"text": "a\\u0000b"}\n',
    "empty-text.jsonl": b'{"text": ""}\n{"text": "x"}\n',
    "long.jsonl": json.dumps({"text": "word " * (1 << 18)}).encode() + b"\n" + PLAIN,
    "many.jsonl": PLAIN * 4000,
}.items():
    case(name, data, lines(data))
for name, data in {
    "array.json": json.dumps(TWO).encode(),
    "array-lines.json": b"[\n" + b",\n".join(RAW.splitlines()) + b"\n]\n",
    "array-commas-first.json": b"[" + b"\n,".join(RAW.splitlines()) + b"]",
    "array-pretty.json": json.dumps(TWO, indent=4, ensure_ascii=False).encode(),
    "array-bom.json": b"\xef\xbb\xbf \r\n" + json.dumps(TWO).encode(),
    "array-strings.json": json.dumps(["one", "zwei\n"], indent=0).encode(),
    "array-nan.json": b'[{"x": NaN, "text": "a"},\n{"x": -Infinity, "text": "b"}]',
    "array-many.json": json.dumps(TWO * 4000).encode(),
    "array.jsonl": json.dumps(TWO).encode(),
    "one-object.json": json.dumps(TWO[1]).encode(),
    "pretty.json": json.dumps(TWO[1], indent=2).encode(),
    "pretty-crlf.json": json.dumps(TWO[1], indent=2).replace("\n", "\r\n").encode(),
}.items():
    case(name, data, whole(data))
for name, data in {
    "concatenated.json": b"".join(json.dumps(value).encode() for value in TWO * 2),
    "pretty-many.json": b"\n".join(json.dumps(value, indent=2).encode() for value in TWO * 200),
    "pretty-then-lines.jsonl": json.dumps(TWO[0], indent=2).encode() + b"\n" + PLAIN,
}.items():
    case(name, data, sequence(data))
nested = b'{"a": {"b": "deep", "c": 1}}\n{"a.b": "flat", "a": 1}\n'
case("nested.jsonl", nested, ["deep", "flat"], field="a.b")

for name, data, part in [
    ("array-comma.json", b'[{"text": "a"},\n{"text": "b"},\n]', "line 3: not JSON"),
    ("array-open.json", b'[\n{"text": "a"},\n{"text": "b"}', "the array is cut off"),
    ("array-cut.json", b'[\n{"text": "a"},\n{"text": "b', "line 3: not JSON"),
    ("array-no-comma.json", b'[{"text": "a"}\n{"text": "b"}]', "line 2: not JSON"),
    ("array-first-bad.json", b"[\n{'text': 'a'},\n" + b",\n".join(RAW.splitlines()) + b"\n]", "line 2: not JSON"),
    ("array-no-bracket.json", b",\n".join(RAW.splitlines()) + b"\n]", "line 1: a comma behind a value"),
    ("page.jsonl", b"<!DOCTYPE html>\n<html>404</html>\n", "line 1: not a JSON value"),
    ("arrays.jsonl", b'["a", "b"]\n["c"]\n', "line 2: more text behind the array"),
    ("object-comma.json", b'{"text": "a",}', "line 1: not a JSON value: key must be a string"),
    ("quotes.json", b"{'text': 'a'}", "line 1: not a JSON value"),
    ("comment.json", b'// text\n{"text": "a" /* a */}', "line 1: not a JSON value"),
    ("events.ndjson", b'data: {"text": "a"}\n', "line 1: not a JSON value"),
    ("control.jsonl", b'{"text": "a\tb"}\n', "control character"),
    ("cut.jsonl", b'{"text": "a', "line 1: not a JSON value: EOF"),
    ("utf16.jsonl", PLAIN.decode().encode("utf-16"), "UTF-16"),
    ("utf16-no-bom.json", PLAIN.decode().encode("utf-16-be"), "UTF-16"),
    ("columns.json", b'{"text": {"0": "a", "1": "b"}}', '"text" is an object'),
    ("list.json", b'{"text": ["a", "b"]}', '"text" is an array'),
    ("data.json", b'{"version": 1, "data": [{"text": "a"}]}', "its fields are version, data"),
    ("numbers.json", b"[1, 2]", "line 1: a number, expected a string or an object"),
    ("no-documents.json", b"[]", "no document"),
    ("nothing.jsonl", b"\n\n", "no document"),
    ("wide.json", json.dumps({f"column {k}": k for k in range(100_000)}).encode(), "column 0, column 1"),
]:
    case(name, data, refused=part)
for data in [b'{"text": "a",}', b"[1,]", b"{'a': 1}", b'{"text": "a\tb"}', b"data: {}", b'["a"]\n["b"]', b'["a"\n"b"]']:
    raises(json.loads, data)
# Lines that Python refuses alone, or whose text is no string, or cannot be encoded.
bad = [
    b'{"text": "a\\ud800b"}', b'{"text": "caf\xe9"}', b'{"text": null}', b'{"txt": "x"}', b'{"text": "cut', b"nonsense",
    b'{"text": "two"} x', b"NaN", b'{"text": NaN}', b"[1]", b'"string"', b'{"text": -NaN}', b"\0\0\0", b'{"text": .5}',
]
data = b"\n".join(b'{"text": "%d"}\n%s' % (k, line) for k, line in enumerate(bad)) + b'\n{"text": "end"}\n'
case("bad-lines.jsonl", data, [str(k) for k in range(len(bad))] + ["end"], skipped=len(bad))
data = b'[{"text": "a"}, {"text": 1}, null, {"txt": ""}, ["b"], "\\udfff", "c"]'
case("bad-elements.json", data, ["a", "c"], skipped=5)

# --- gzip


def member(data, **header):
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0, **header) as file:
        file.write(data)
    return out.getvalue()


def flags(data, flag, extra):
    """A member whose header has the optional parts `extra`."""
    plain = gzip.compress(data, mtime=0)
    header = plain[:3] + bytes([flag]) + plain[4:10] + extra
    if flag & 2:
        header += struct.pack("<H", zlib.crc32(header) & 0xFFFF)
    return header + plain[10:]


half = len(RAW) // 2
for name, data in {
    "plain.jsonl.gz": gzip.compress(RAW),
    "CAPITALS.JSONL.GZ": gzip.compress(RAW),
    "alias.jsonl.gzip": gzip.compress(RAW),
    "stored.jsonl.gz": gzip.compress(RAW, 0),
    "padded.jsonl.gz": gzip.compress(RAW) + b"\0",
    "padded-much.jsonl.gz": gzip.compress(RAW) + b"\0" * 1_000_000,
    "members.jsonl.gz": gzip.compress(RAW[:half]) + gzip.compress(RAW[half:]),
    "members-padded.jsonl.gz": gzip.compress(RAW[:half]) + b"\0" * 511 + gzip.compress(RAW[half:]) + b"\0\0",
    "members-empty.jsonl.gz": gzip.compress(b"") + gzip.compress(RAW) + gzip.compress(b""),
    "members-many.jsonl.gz": b"".join(gzip.compress(RAW[k : k + 1]) for k in range(len(RAW))),
    "name.jsonl.gz": member(RAW, filename="other-name.csv"),
    "extra.jsonl.gz": flags(RAW, 4, struct.pack("<H", 5) + b"AB\1\0c"),
    "comment.jsonl.gz": flags(RAW, 16 | 8, b"name\0a comment\0"),
    "header-crc.jsonl.gz": flags(RAW, 2 | 4 | 8 | 16, struct.pack("<H", 0) + b"n\0c\0"),
    "blocks.jsonl.gz": b"".join(flags(data, 4, b"\6\0BC\2\0\x1b\0") for data in [RAW[:half], RAW[half:], b""]),
    "text-flag.jsonl.gz": flags(RAW, 1, b""),
}.items():
    case(name, data, lines(gzip.decompress(data)))
case("array.json.gz", gzip.compress(json.dumps(TWO).encode()), whole(json.dumps(TWO)  .encode()))
case("text.txt.gz", gzip.compress(b"\xef\xbb\xbfone\r\n"), ["one\r\n"])
packed = gzip.compress(RAW)
for name, data, part in [
    ("garbage.jsonl.gz", packed + b"garbage", f"from byte {len(packed)} on, behind the gzip data, it is not gzip"),
    ("garbage-padded.jsonl.gz", packed + b"\0\0x", f"from byte {len(packed) + 2} on"),
    ("half-header.jsonl.gz", packed + b"\x1f", "gzip member that begins at byte"),
    ("cut.jsonl.gz", packed[: len(packed) // 2], "gzip member that begins at byte 0 is cut off"),
    ("cut-end.jsonl.gz", packed[:-3], "cut off"),
    ("cut-second.jsonl.gz", packed + packed[:20], f"begins at byte {len(packed)} is cut off"),
    ("crc.jsonl.gz", packed[:-8] + b"\1\2\3\4" + packed[-4:], "damaged"),
    ("length.jsonl.gz", packed[:-4] + b"\1\2\3\4", "damaged"),
    ("flipped.jsonl.gz", packed[:20] + bytes([packed[20] ^ 255]) + packed[21:], "member that begins at byte 0"),
    ("not.jsonl.gz", RAW, 'not gzip, as its name says: it begins with "{\\"text'),
    ("zero.jsonl.gz", b"\0" * 20, "not gzip"),
]:
    raises(gzip.decompress, data)
    case(name, data, refused=part)
case("empty.jsonl.gz", b"", refused="empty")
case("nothing.jsonl.gz", gzip.compress(b""), refused="no document")
case("really.jsonl", packed, refused="compressed with gzip; let its name end in .gz")
case("really.txt", packed, refused="compressed with gzip; let its name end in .gz")
case("twice.jsonl.gz", gzip.compress(packed), refused="compressed twice")

# --- Other files

tar = io.BytesIO()
with tarfile.open(fileobj=tar, mode="w") as archive:
    info = tarfile.TarInfo("a.txt")
    info.size = 5
    archive.addfile(info, io.BytesIO(b"hello"))
archive = io.BytesIO()
with zipfile.ZipFile(archive, "w") as file:
    file.writestr("a.txt", "hello")
for name, data, part in [
    ("a.jsonl.bz2", bz2.compress(RAW), "compressed with bzip2"),
    ("a.jsonl.xz", lzma.compress(RAW), "compressed with xz"),
    ("a.zip", archive.getvalue(), "a zip archive"),
    ("zip.jsonl", archive.getvalue(), "a zip archive"),
    ("a.tar", tar.getvalue(), "a tar archive"),
    ("a.tar.gz", gzip.compress(tar.getvalue()), "a tar archive"),
    ("a.csv", b"text,id\na,1\n", "(CSV, TSV) are not read"),
    ("a.TSV.gz", gzip.compress(b"text\tid\n"), "(CSV, TSV) are not read"),
    ("page.jsonl.gz", b"<!DOCTYPE html>\n<html>404</html>\n", 'it begins with "<!DOCTYP"'),
    ("page.parquet", b"<!DOCTYPE html>\n<html>404</html>\n", "not a Parquet file"),
    ("part.jsonl.gz.1", packed, "compressed with gzip"),
    ("a.parquet", RAW, "not a Parquet file, as its name says"),
    ("b.parquet", b"PAR1", "Parquet"),
    ("c.parquet", packed, "not a Parquet file, as its name says: this is compressed with gzip"),
]:
    case(name, data, refused=part)

# --- Zstandard

try:
    import zstandard
except ImportError:
    zstandard = None
if zstandard:

    def zstd(data, **options):
        return zstandard.ZstdCompressor(**options).compress(data)

    def frames(data):
        reader = zstandard.ZstdDecompressor(max_window_size=1 << 31).stream_reader(io.BytesIO(data), read_across_frames=True)
        return reader.read()

    def window(log, mantissa=0):
        """A frame of one raw block, with a window of this size."""
        block = struct.pack("<I", len(RAW) << 3 | 1)[:3] + RAW
        return struct.pack("<IBB", 0xFD2FB528, 0, (log - 10) << 3 | mantissa) + block

    skippable = struct.pack("<II", 0x184D2A53, 5) + b"12345"
    one = zstd(RAW)
    unsized = zstandard.ZstdCompressor(write_checksum=True, write_content_size=False)
    for name, data in {
        "plain.jsonl.zst": one,
        "alias.jsonl.zstd": one,
        "checksum.jsonl.zst": unsized.compress(RAW),
        "frames.jsonl.zst": zstd(RAW[:half]) + zstd(RAW[half:]),
        "skippable.jsonl.zst": skippable + one + skippable + one + skippable * 2,
        "empty-frame.jsonl.zst": zstd(b"") + one + zstd(b""),
        "many.jsonl.zst": b"".join(zstd(RAW[k : k + 1]) for k in range(len(RAW))),
        "window27.jsonl.zst": window(27),
        "window28.jsonl.zst": window(28, 3),
        "window31.jsonl.zst": window(31),
        "large.jsonl.zst": zstd(PLAIN * 20_000),
    }.items():
        case(name, data, lines(frames(data)))
    dictionary = zstandard.train_dictionary(1024, [b"some text %d and more of it" % (k * k) for k in range(1000)])
    with_dictionary = zstd(RAW, dict_data=dictionary)
    checked = unsized.compress(RAW)
    for name, data, part in [
        ("window31+.jsonl.zst", window(31, 1), "needs a window of 2304 MiB, and at most 2048 MiB are read; compress the file again"),
        ("window41.jsonl.zst", window(41), "needs a window of 2097152 MiB"),
        ("dictionary.jsonl.zst", with_dictionary, f"needs the dictionary {dictionary.dict_id()}"),
        ("checksum-wrong.jsonl.zst", checked[:-1] + bytes([checked[-1] ^ 1]), "begins at byte 0 is damaged"),
        ("cut.jsonl.zst", one[:-5], "begins at byte 0 is cut off"),
        ("cut-header.jsonl.zst", one + one[:5], f"begins at byte {len(one)} is cut off"),
        ("cut-magic.jsonl.zst", one + one[:2], f"begins at byte {len(one)} is cut off"),
        ("garbage.jsonl.zst", one + b"garbage", f"begins at byte {len(one)} is not Zstandard"),
        ("zeros.jsonl.zst", one + b"\0" * 9, f"begins at byte {len(one)} is not Zstandard"),
        ("gzip.jsonl.zst", packed, "compressed with gzip; let its name end in .gz"),
        ("not.jsonl.zst", RAW, "not Zstandard, as its name says"),
        ("really-zstd.jsonl", one, "compressed with Zstandard; let its name end in .zst"),
        ("zstd.jsonl.gz", one, "compressed with Zstandard; let its name end in .zst"),
    ]:
        case(name, data, refused=part)
    case("nothing.jsonl.zst", skippable, refused="no document")

# --- Parquet

try:
    import pyarrow
    import pyarrow.feather
    import pyarrow.parquet as parquet
except ImportError:
    pyarrow = None
if pyarrow:
    rows = [f"row {k} é世" + " and more" * (k % 9) for k in range(30)]

    def table(name, columns, field="text", documents=None, skipped=0, refused=None, names=None, **options):
        data = pyarrow.table(columns, names=names) if names else pyarrow.table(columns)
        parquet.write_table(data, FOLDER / name, **options)
        if documents is None and refused is None:
            found = parquet.read_table(FOLDER / name, columns=[field]).column(0).to_pylist()
            found = [value[field.split(".")[-1]] if isinstance(value, dict) else value for value in found]
            found = [value.decode() if isinstance(value, bytes) else value for value in found]
            documents = [value for value in found if value is not None]
            skipped = len(found) - len(documents)
        case(name, None, documents, refused, skipped, field)

    for codec in ["none", "snappy", "gzip", "zstd", "brotli", "lz4"]:
        table(f"{codec}.parquet", {"id": range(30), "text": rows}, compression=codec)
    for encoding in ["PLAIN", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"]:
        for page in ["1.0", "2.0"]:
            encoded = dict(use_dictionary=False, column_encoding={"text": encoding}, data_page_version=page)
            table(f"{encoding}-{page}.parquet", {"text": rows}, **encoded)
    table("dictionary-2.parquet", {"text": ["a", "b", None, "a"] * 9}, data_page_version="2.0")
    table("small-pages.parquet", {"text": rows}, data_page_size=64, write_batch_size=9)
    table("groups.parquet", {"text": rows}, row_group_size=8)
    table("nulls.parquet", {"text": ["a", None, "", None, "b"]})
    kinds = [pyarrow.large_string(), pyarrow.string_view(), pyarrow.binary(), pyarrow.large_binary(), pyarrow.binary_view()]
    for kind in kinds:
        table(f"{kind}.parquet", {"text": pyarrow.array(["one", None, "two"], kind)})
    table("dictionary-type.parquet", {"text": pyarrow.array(["a", "b", "a", None]).dictionary_encode()})
    struct_type = [{"b": "one", "c": 1}, None, {"b": None, "c": 2}, {"b": "two", "c": 3}]
    table("struct.parquet", {"a": struct_type}, field="a.b")
    required = pyarrow.schema([pyarrow.field("text", pyarrow.string(), nullable=False)])
    parquet.write_table(pyarrow.table({"text": rows}, schema=required), FOLDER / "required.parquet")
    case("required.parquet", None, rows)
    table("dotted.parquet", {"a.b": ["flat"], "a": [{"b": "deep"}]}, field="a.b", documents=["flat"])
    with parquet.ParquetWriter(FOLDER / "empty-groups.parquet", pyarrow.schema({"text": pyarrow.string()})) as writer:
        for texts in [[], ["a"], [], ["b", "c"], []]:
            writer.write_table(pyarrow.table({"text": pyarrow.array(texts, pyarrow.string())}))
    case("empty-groups.parquet", None, ["a", "b", "c"])
    latin = pyarrow.Array.from_buffers(pyarrow.string(), 3, pyarrow.array([b"one", b"caf\xe9", b"two"]).buffers())
    table("latin.parquet", {"text": latin}, documents=["one", "two"], skipped=1)
    long = pyarrow.Array.from_buffers(pyarrow.string(), 2, pyarrow.array([b"\xff" * 900_000, b"x"]).buffers())
    table("latin-long.parquet", {"text": long}, documents=["x"], skipped=1)

    no_text = {
        "missing": ({"content": ["a"], "id": [1]}, 'no column "text", its columns are content, id'),
        "wide": ({f"column {k}": [k] for k in range(200)}, "its columns are column 0, column 1"),
        "list": ({"text": [["a"], ["b"]]}, "holds lists"),
        "map": ({"text": pyarrow.array([[("a", "b")]], pyarrow.map_(pyarrow.string(), pyarrow.string()))}, "holds lists"),
        "struct-top": ({"text": struct_type}, 'has the fields b, c; choose one with --field text.NAME'),
        "number": ({"text": [1, 2]}, "holds no strings"),
        "fixed": ({"text": pyarrow.array([b"ab"], pyarrow.binary(2))}, "holds no strings"),
        "null": ({"text": pyarrow.nulls(3)}, "holds no strings"),
        "zero-rows": ({"text": pyarrow.array([], pyarrow.string())}, "no document"),
        "all-null": ({"text": pyarrow.array([None, None], pyarrow.string())}, "row 1"),
    }
    for name, (columns, part) in no_text.items():
        table(f"{name}.parquet", columns, refused=part)
    table("same-names.parquet", [["a"], ["b"]], names=["text", "text"], refused='has 2 columns "text"')
    with parquet.ParquetWriter(FOLDER / "no-groups.parquet", pyarrow.schema({"text": pyarrow.string()})):
        pass
    case("no-groups.parquet", None, refused="no document")
    good, pages = [(FOLDER / name).read_bytes() for name in ["snappy.parquet", "PLAIN-1.0.parquet"]]
    for name, data, part in [
        ("cut.parquet", good[:-100], "damaged Parquet file"),
        ("cut-front.parquet", good[:4] + good[200:], "its column is damaged or encrypted"),
        ("garbage.parquet", good + b"more", "damaged Parquet file"),
        ("parquet.txt", good, "a Parquet file; let its name end in .parquet"),
        ("parquet.jsonl", good, "a Parquet file; let its name end in .parquet"),
        ("inside.parquet.gz", gzip.compress(good), "unpack it"),
        ("pages.parquet", pages[:20] + b"\xff" * 99 + pages[119:], "its column is damaged or encrypted"),
    ]:
        case(name, data, refused=part)
    pyarrow.feather.write_feather(pyarrow.table({"text": rows}), FOLDER / "a.feather")
    case("a.feather", None, refused="an Arrow file")
    with pyarrow.ipc.new_stream(FOLDER / "a.arrow", pyarrow.schema({"text": pyarrow.string()})) as writer:
        writer.write_table(pyarrow.table({"text": rows}))
    case("a.arrow", None, refused="an Arrow stream")

    import pyarrow.parquet.encryption as encryption

    class Keys(encryption.KmsClient):
        def __init__(self, _):
            encryption.KmsClient.__init__(self)

        def wrap_key(self, key, _):
            return key.hex()

        def unwrap_key(self, key, _):
            return bytes.fromhex(key)

    for name, plain, part in [
        ("secret.parquet", False, "an encrypted Parquet file; write it again without encryption"),
        ("secret-columns.parquet", True, "its column is damaged or encrypted"),
    ]:
        configuration = encryption.EncryptionConfiguration("key", column_keys={"key": ["text"]}, plaintext_footer=plain)
        factory = encryption.CryptoFactory(Keys)
        keys = factory.file_encryption_properties(encryption.KmsConnectionConfig(), configuration)
        encrypted = pyarrow.table({"text": rows})
        with parquet.ParquetWriter(FOLDER / name, encrypted.schema, encryption_properties=keys) as writer:
            writer.write_table(encrypted)
        case(name, None, refused=part)

(FOLDER / "cases.json").write_text(json.dumps(CASES))
if len(sys.argv) > 2:
    fixtures = pathlib.Path(sys.argv[2])
    others = [case for case in CASES if case["file"].endswith((".zst", ".zstd", ".parquet", ".feather", ".arrow"))]
    small = [case for case in others if (FOLDER / case["file"]).stat().st_size <= 5000 and len(str(case)) <= 5000]
    for case in small:
        shutil.copy(FOLDER / case["file"], fixtures)
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in small)
    (fixtures / "cases.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
print(len(CASES), "cases; with", *(["zstandard"] if zstandard else []), *(["pyarrow"] if pyarrow else []), "json, gzip")
