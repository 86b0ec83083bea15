"""Data sets of labeled clips: their official annotation files, with what is peculiar in each."""

import json
import os
from pathlib import Path

import pytest

from bod_keras.data import Record
from bod_keras.data.datasets import read_dataset
from tests.data.datasets.trees import touch, write_files


def named(catalog, root):
    """Path below the root, label and split of each record."""
    return [(os.path.relpath(r.path, root), r.label, r.split) for r in catalog.records]


@pytest.fixture
def ucf101(tmp_path):
    """The official layout, with CRLF and spaces at line ends, and the odd folder HandstandPushups."""
    videos = touch(
        tmp_path / "UCF-101",
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi",
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.mp4",
        "HandstandPushups/v_HandStandPushups_g08_c01.avi",
    )
    lists = write_files(
        tmp_path / "annotations",
        {
            "ucfTrainTestlist/classInd.txt": "1 ApplyEyeMakeup\r\n2 HandstandPushups\r\n\r\n",
            "ucfTrainTestlist/trainlist01.txt": "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\r\n"
            "HandstandPushups/v_HandstandPushups_g08_c01.avi 2 \r\n"
            "HandstandPushups/v_HandstandPushups_g09_c01.avi 2\r\n",
            "ucfTrainTestlist/testlist01.txt": "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi\r\n",
        },
    )
    return videos, lists


def test_ucf101(ucf101):
    root, lists = ucf101
    catalog = read_dataset("ucf101", root, lists)
    assert named(catalog, root) == [
        ("ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.mp4", 0, "train"),
        ("HandstandPushups/v_HandStandPushups_g08_c01.avi", 1, "train"),
        ("ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi", 0, "test"),
    ]
    assert catalog.class_names == ["ApplyEyeMakeup", "HandstandPushups"]
    assert catalog.missing == ["HandstandPushups/v_HandstandPushups_g09_c01.avi"]
    assert catalog.flip_safe
    assert [r.split for r in read_dataset("ucf101", root, lists, "test").records] == ["test"]


def test_ucf101_as_frames_with_a_junk_folder(tmp_path, ucf101):
    root = touch(
        tmp_path / "frames",
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01/00001.jpg",
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01/TSP_Flows/00001.jpg",
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01/00001.jpg",
    )
    catalog = read_dataset("ucf101", root, ucf101[1])
    assert [path for path, *_ in named(catalog, root)] == [
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01",
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01",
    ]


def test_two_files_of_one_name_are_not_chosen_between(ucf101):
    root, lists = ucf101
    touch(root, "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi")
    with pytest.raises(
        ValueError, match=r"several files for .*_g08_c01.avi': .*\.avi, .*\.mp4. Keep"
    ):
        read_dataset("ucf101", root, lists)


@pytest.mark.parametrize(
    "line, expected",
    [
        (
            "Skiing/v_Skiing_g01_c01.avi 81",
            "a class of classInd.txt and its number. Received: 'Ski",
        ),
        ("ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 2", "Received: 'ApplyEyeMakeup.* 2'"),
    ],
)
def test_ucf101_lists_that_contradict_the_classes(ucf101, line, expected):
    root, lists = ucf101
    write_files(lists, {"ucfTrainTestlist/trainlist01.txt": line})
    with pytest.raises(ValueError, match=expected):
        read_dataset("ucf101", root, lists, "train")


@pytest.mark.parametrize("text", ["1 a\n3 b\n", "1 a\n2\n", "1 a\n2 a\n", "a\n"])
def test_ucf101_classes_that_are_not_numbered(ucf101, text):
    root, lists = ucf101
    write_files(lists, {"ucfTrainTestlist/classInd.txt": text})
    with pytest.raises(ValueError, match="classInd.txt, line [12]: must number its classes"):
        read_dataset("ucf101", root, lists)


def test_official_lists_in_utf16_and_with_repeated_lines(ucf101):
    root, lists = ucf101
    text = "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\n" * 3
    write_files(lists, {"ucfTrainTestlist/trainlist01.txt": text.encode("utf-16")})
    catalog = read_dataset("ucf101", root, lists, "train")
    assert len(catalog.records) == 1
    assert catalog.summary().startswith(
        "1 video, 1 label, 2 classes; 2 repeated annotations merged"
    )


HMDB = "April_09_brush_hair_u_nm_np1_ba_goo_0.avi"
ODD = "#20_Rhythm_clap_u_nm_np1_fr_goo_0.avi"
BRACKETS = "[BULIMIA] (best!)_clap_u_cm_np1_ri_med_3.avi"


def test_hmdb51(tmp_path):
    root = touch(tmp_path / "v", f"brush_hair/{HMDB}", f"clap/{ODD}", f"clap/{BRACKETS}")
    lists = write_files(
        tmp_path / "testTrainMulti_7030_splits",
        {
            "brush_hair_test_split1.txt": f"{HMDB} 1 \n",
            "clap_test_split1.txt": f"{ODD} 2 \n{BRACKETS} 0 \n",
            "brush_hair_test_split2.txt": f"{HMDB} 2 \n",
            "clap_test_split2.txt": f"{ODD} 1 \n{BRACKETS} 1 \n",
        },
    )
    catalog = read_dataset("hmdb51", root, lists)
    expected = [(f"brush_hair/{HMDB}", 0, "train"), (f"clap/{ODD}", 1, "test")]
    assert named(catalog, root) == expected
    assert catalog.class_names == ["brush_hair", "clap"]
    unused = read_dataset("hmdb51", root, lists, "unused")
    assert named(unused, root) == [(f"clap/{BRACKETS}", 1, "unused")]
    assert len(read_dataset("hmdb51", root, lists, "train", fold=2).records) == 2
    write_files(lists, {"clap_test_split1.txt": f"{ODD} 3\n"})
    with pytest.raises(
        ValueError, match="clap_test_split1.txt, line 1: expected 'FILE 0', 1 or 2. Received"
    ):
        read_dataset("hmdb51", root, lists)
    os.unlink(os.path.join(lists, "clap_test_split1.txt"))
    with pytest.raises(FileNotFoundError, match="no clap_test_split1.txt.*labels .* would move"):
        read_dataset("hmdb51", root, lists)


def test_one_name_in_two_classes_is_told_apart_by_its_folder(tmp_path):
    root = touch(tmp_path / "v", "brush_hair/a.avi", "clap/a.avi")
    lists = write_files(
        tmp_path / "l",
        {"brush_hair_test_split1.txt": "a.avi 1 \n", "clap_test_split1.txt": "a.avi 1 \n"},
    )
    records = read_dataset("hmdb51", root, lists, "train").records
    assert records == [
        Record(os.path.join(root, "brush_hair/a.avi"), 0, split="train"),
        Record(os.path.join(root, "clap/a.avi"), 1, split="train"),
    ]


@pytest.fixture
def kinetics(tmp_path):
    root = touch(
        tmp_path / "k400",
        "val/abseiling/-3B32lodo2M_000059_000069.mp4",
        "train/air_drumming/_dbcJuKJQNs_000040_000050.mkv",
        "train/massaging person_s head/0wR5jVB-WPk_000417_000427.mp4",
        "test/-TEST_id123_000000_000010.mp4",
    )
    tables = write_files(
        tmp_path / "annotations",
        {
            "train.csv": "label,youtube_id,time_start,time_end,split,is_cc\n"
            "massaging person's head,0wR5jVB-WPk,417,427,train,0\n"
            '"air drumming",_dbcJuKJQNs,40,50,train,0\n'
            "abseiling,gone0000000,1,11,train,0\n",
            "validate.csv": "label,youtube_id,time_start,time_end,split\r\n"
            "abseiling,-3B32lodo2M,59,69,validate\r\n",
            "test.csv": "youtube_id,time_start,time_end,split\n-TEST_id123,0,10,test\n",
        },
    )
    return root, tables


@pytest.mark.parametrize("name", ["kinetics400", "kinetics600", "kinetics700"])
def test_kinetics(kinetics, name):
    root, tables = kinetics
    catalog = read_dataset(name, root, tables)
    assert catalog.class_names == ["abseiling", "air drumming", "massaging person's head"]
    assert named(catalog, root) == [
        ("train/massaging person_s head/0wR5jVB-WPk_000417_000427.mp4", 2, "train"),
        ("train/air_drumming/_dbcJuKJQNs_000040_000050.mkv", 1, "train"),
        ("val/abseiling/-3B32lodo2M_000059_000069.mp4", 0, "val"),
    ]
    assert catalog.missing == ["gone0000000_000001_000011"]
    test = read_dataset(name, root, tables, "test")
    assert named(test, root) == [("test/-TEST_id123_000000_000010.mp4", None, "test")]


def test_kinetics_labels_come_from_the_training_table_in_its_spelling(kinetics):
    root, tables = kinetics
    header = "label,youtube_id,time_start,time_end,split\n"
    write_files(tables, {"validate.csv": header + '"Air_drumming",-3B32lodo2M,59,69,val\n'})
    assert [r.label for r in read_dataset("kinetics400", root, tables, "val").records] == [1]
    write_files(tables, {"validate.csv": header + "zumba,-3B32lodo2M,59,69,val\n"})
    with pytest.raises(ValueError, match="val table has a class that train has not: 'zumba'"):
        read_dataset("kinetics400", root, tables, "val")


def test_youtube_ids_differ_in_case(kinetics):
    root, tables = kinetics
    os.rename(
        os.path.join(root, "val/abseiling/-3B32lodo2M_000059_000069.mp4"),
        os.path.join(root, "val/abseiling/-3b32lodo2M_000059_000069.mp4"),
    )
    catalog = read_dataset("kinetics400", root, tables)
    assert "-3B32lodo2M_000059_000069" in catalog.missing


@pytest.mark.parametrize(
    "text, expected",
    [
        ("video,start\n", "must begin with a header that has label, time_end.*Received"),
        ("label,youtube_id,time_start,time_end\na,b\n", "line 2: a cell is missing"),
        ("label,youtube_id,time_start,time_end\na,b,1,2,3\n", "line 2: a cell is too many"),
        (
            "label,youtube_id,time_start,time_end\na,b,x,2\n",
            "line 2: time_start and time_end must be",
        ),
        (
            "label,youtube_id,time_start,time_end\na,b,inf,2\n",
            "line 2: time_start and time_end must be",
        ),
        ("label,youtube_id,time_start,time_end\n,b,1,2\n", "line 2: the class is missing"),
        ('label,youtube_id,time_start,time_end\n"a,b,1,2\n', "line 2: unexpected end of data"),
    ],
)
def test_kinetics_tables_that_cannot_be_read(kinetics, text, expected):
    root, tables = kinetics
    write_files(tables, {"train.csv": text})
    with pytest.raises(ValueError, match=expected):
        read_dataset("kinetics400", root, tables, "train")


def test_two_tables_for_one_split_are_not_chosen_between(kinetics):
    root, tables = kinetics
    write_files(tables, {"kinetics-600_train.csv": "label,youtube_id,time_start,time_end,split\n"})
    with pytest.raises(ValueError, match="several files that could be Kinetics' train.csv"):
        read_dataset("kinetics400", root, tables, "train")


@pytest.fixture
def ssv2(tmp_path):
    root = touch(tmp_path / "20bn-something-something-v2", "78687.webm", "74225.mp4", "1420.webm")
    files = {
        "labels": {"Pushing something from left to right": "1", "Holding something": "0"},
        "train": [
            {
                "id": "78687",
                "label": "holding potato",
                "template": "Holding [something]",
                "placeholders": ["potato"],
            },
            {"id": "1", "label": "", "template": "Holding [something]", "placeholders": []},
        ],
        "validation": [
            {
                "id": "74225",
                "label": "pushing a cup from left to right",
                "template": "Pushing [something] from left to right",
                "placeholders": ["a cup"],
            }
        ],
        "test": [{"id": "1420"}],
    }
    labels = write_files(
        tmp_path / "labels",
        {f"something-something-v2-{name}.json": json.dumps(value) for name, value in files.items()},
    )
    return root, labels


def test_ssv2(ssv2):
    root, labels = ssv2
    catalog = read_dataset("ssv2", root, labels)
    assert catalog.class_names == ["Holding something", "Pushing something from left to right"]
    assert named(catalog, root) == [("78687.webm", 0, "train"), ("74225.mp4", 1, "val")]
    assert catalog.missing == ["1"] and not catalog.flip_safe
    assert named(read_dataset("ssv2", root, labels, "test"), root) == [("1420.webm", None, "test")]
    write_files(labels, {"test-answers.csv": "1420;Holding something\n"})
    assert named(read_dataset("ssv2", root, labels, "test"), root) == [("1420.webm", 0, "test")]


def test_ssv2_with_a_template_that_is_not_listed(ssv2):
    root, labels = ssv2
    entry = {"id": "78687", "template": "Eating [something]"}
    write_files(labels, {"something-something-v2-train.json": json.dumps([entry])})
    with pytest.raises(ValueError, match="template 'Eating something' is not in labels.json"):
        read_dataset("ssv2", root, labels, "train")


LABELS = {"Holding something": "0", "Pushing something": "1"}


@pytest.mark.parametrize(
    "labels, entry",
    [
        (LABELS, {"id": 78687, "template": "Pushing [something]"}),
        (
            {name: int(number) for name, number in LABELS.items()},
            {"id": 78687, "template": "Pushing [something]"},
        ),
        (list(LABELS), {"id": "78687", "template": "Pushing [something]"}),
        (
            ["Holding [something]", "Pushing [something]"],
            {"id": "78687", "template": "Pushing something"},
        ),
        (LABELS, {"id": "78687", "label": "Pushing something"}),
    ],
)
def test_other_forms_of_ssv2(ssv2, labels, entry):
    root, folder = ssv2
    prefix = "something-something-v2-"
    write_files(
        folder,
        {f"{prefix}labels.json": json.dumps(labels), f"{prefix}train.json": json.dumps([entry])},
    )
    catalog = read_dataset("ssv2", root, folder, "train")
    assert named(catalog, root) == [("78687.webm", 1, "train")]
    assert catalog.class_names == [name.replace("[", "").replace("]", "") for name in labels]


@pytest.mark.parametrize(
    "file, content, expected",
    [
        ("train", [{"id": 1}], "train.json, id 1: expected a template of labels.json"),
        ("train", [{"id": 1, "template": None}], "train.json, id 1: expected a template"),
        ("train", [{"id": 1, "label": "a cup"}], "train.json, id 1: expected a template"),
        (
            "train",
            [{"id": 1, "template": 3}],
            "train.json, id 1: template '3' is not in labels.json",
        ),
        ("labels", {"a": "x"}, "labels.json must number its templates"),
        ("labels", {"a": 0, "b": 2}, "labels.json must number its templates"),
        ("labels", {"a": 0, "b": 0}, "labels.json must number its templates"),
        ("labels", ["a", "a"], "labels.json must number its templates"),
        ("labels", 3, "labels.json must number its templates"),
    ],
)
def test_ssv2_that_cannot_be_understood(ssv2, file, content, expected):
    root, folder = ssv2
    write_files(folder, {f"something-something-v2-{file}.json": json.dumps(content)})
    with pytest.raises(ValueError, match=expected):
        read_dataset("ssv2", root, folder, "train")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("[{", "train.json is not valid JSON"),
        ("{}", "must hold a list. Received: dict"),
        ('[{"name": 1}]', "expected objects with id. Received: {'name': 1}"),
        ('[{"id": 1, "id": 2}]', "train.json is not valid JSON: the key 'id' occurs twice"),
    ],
)
def test_json_that_cannot_be_read(ssv2, text, expected):
    root, labels = ssv2
    write_files(labels, {"something-something-v2-train.json": text})
    with pytest.raises(ValueError, match=expected):
        read_dataset("ssv2", root, labels, "train")


@pytest.fixture
def diving48(tmp_path):
    root = touch(tmp_path / "rgb", "-mmq0PT-u8k_00155.mp4", "_8Vy3dlHg2w_00000.mp4")
    entry = {"vid_name": "-mmq0PT-u8k_00155", "label": 0, "start_frame": 0, "end_frame": 48}
    vocabulary = [["Back", "15som", "05Twis", "FREE"], ["Back", "15som", "15Twis", "FREE"]]
    files = {
        "Diving48_V2_train.json": [entry],
        "Diving48_V2_test.json": [{**entry, "vid_name": "_8Vy3dlHg2w_00000", "label": 1}],
        "Diving48_train.json": [{**entry, "label": 1}],  # version 1, which must not be taken
        "Diving48_vocab.json": vocabulary,
    }
    return root, write_files(tmp_path / "l", {n: json.dumps(value) for n, value in files.items()})


def test_diving48(diving48):
    root, labels = diving48
    catalog = read_dataset("diving48", root, labels)
    assert catalog.class_names == ["Back 15som 05Twis FREE", "Back 15som 15Twis FREE"]
    assert named(catalog, root) == [
        ("-mmq0PT-u8k_00155.mp4", 0, "train"),
        ("_8Vy3dlHg2w_00000.mp4", 1, "test"),
    ]
    assert catalog.flip_safe


def test_diving48_refuses_version_1_and_unknown_labels(diving48):
    root, labels = diving48
    entry = {"vid_name": "-mmq0PT-u8k_00155", "label": 48}
    write_files(labels, {"Diving48_V2_train.json": json.dumps([entry])})
    with pytest.raises(ValueError, match="'-mmq0PT.*labels must lie in 0 to 1.*Received: 48"):
        read_dataset("diving48", root, labels, "train")
    for label in (-1, "x", 1.5, None, True):
        write_files(labels, {"Diving48_V2_train.json": json.dumps([{**entry, "label": label}])})
        with pytest.raises(ValueError, match="labels must lie in 0 to 1.*Received:"):
            read_dataset("diving48", root, labels, "train")
    os.unlink(os.path.join(labels, "Diving48_V2_train.json"))
    with pytest.raises(FileNotFoundError, match=r"Diving48_V2_train.json \(version 1 has faulty"):
        read_dataset("diving48", root, labels, "train")


ELEMENT = "A0xAXXysHUo_E_002184_002237_A_0035_0036"


@pytest.fixture
def finegym(tmp_path):
    info = {
        "A0xAXXysHUo": {
            "E_002184_002237": {
                "event": 4,
                "timestamps": [[2184.25, 2237.5]],
                "segments": {
                    "A_0035_0036": {"stages": 1, "timestamps": [[35.46, 36.82]]},
                    "A_0040_0043": {"stages": 2, "timestamps": [[40.0, 41.5], [41.5, 43.0]]},
                },
            },
            "E_003000_003010": {"event": 1, "timestamps": [[3000, 3010]], "segments": None},
        }
    }
    name = ELEMENT.removesuffix("A_0035_0036") + "A_0040_0043"
    return write_files(
        tmp_path / "annotations",
        {
            "finegym_annotation_info_v1.1.json": json.dumps(info),
            "gym99_train_element_v1.1.txt": f"{ELEMENT} 1\n{name} 0\n",
            "gym99_val_element.txt": f"{ELEMENT} 0\n",
            "gym288_train_element_v1.1.txt": f"{ELEMENT} 0\n",
            "gym99_categories.txt": "Clabel:   0; set: 1; Glabel: 1; (VT) round-off, flic-flac\n"
            "Clabel:   1; set: 1; Glabel: 3; (FX) switch leap; with 1 turn\n",
            "gym288_categories.txt": "Clabel: 0; set: 1; Glabel: 0; (VT) round-off\n",
        },
    )


@pytest.mark.parametrize(
    "file, spans",
    [
        (f"subactions/{ELEMENT}.mp4", [None]),
        ("events/A0xAXXysHUo_E_002184_002237.mp4", [(35.46, 36.82), (40.0, 43.0)]),
        ("videos/A0xAXXysHUo.mkv", [(2219.71, 2221.07), (2224.25, 2227.25)]),
    ],
)
def test_finegym_as_elements_events_or_videos(tmp_path, finegym, file, spans):
    root = touch(tmp_path / "v", file)
    catalog = read_dataset("gym99", root, finegym, "train")
    assert [r.label for r in catalog.records] == [1, 0][: len(spans)]
    assert {os.path.relpath(r.path, root) for r in catalog.records} == {file}
    for record, span in zip(catalog.records, spans, strict=True):
        assert record.span == (span if span is None else pytest.approx(span))
    assert len(catalog.missing) == 2 - len(spans)
    assert catalog.class_names == [
        "(VT) round-off, flic-flac",
        "(FX) switch leap; with 1 turn",
    ]


def test_finegym_variants_and_errors(tmp_path, finegym):
    root = touch(tmp_path / "v", "A0xAXXysHUo.mp4")
    assert len(read_dataset("gym288", root, finegym, "train").class_names) == 1
    for line, expected in (
        (ELEMENT, "expected 'VIDEO_E_START_END_A_START_END LABEL' with a label below 2"),
        (f"{ELEMENT} 2", "Received: 'A0xAXXysHUo_E_.* 2'"),
        (f"{ELEMENT[:-1]}9 0", "no times for .*0039, .*Are list and info of the same version"),
        ("A0xAXXysHUo_E_003000_003010_A_0001_0002 0", "no times for"),
    ):
        write_files(finegym, {"gym99_train_element_v1.1.txt": line})
        with pytest.raises(ValueError, match=expected):
            read_dataset("gym99", root, finegym, "train")


@pytest.mark.parametrize("times", [[36.82, 35.46], [35.46, 35.46], [-1, 2], [35.46, float("nan")]])
def test_finegym_times_that_cannot_be(tmp_path, finegym, times):
    root = touch(tmp_path / "v", "A0xAXXysHUo.mp4")
    file = Path(finegym, "finegym_annotation_info_v1.1.json")
    info = json.loads(file.read_text())
    event = info["A0xAXXysHUo"]["E_002184_002237"]
    event["segments"]["A_0035_0036"]["timestamps"] = [times]
    file.write_text(json.dumps(info))
    with pytest.raises(ValueError, match="A_0035_0036, or its end is not after its start"):
        read_dataset("gym99", root, finegym, "train")


def test_videos_that_are_annotated_twice_are_named(kinetics):
    root, tables = kinetics
    table = Path(tables, "train.csv")
    with open(table, "a") as stream:
        stream.write(
            "abseiling,_dbcJuKJQNs,40,50,train,0\nair drumming,-3B32lodo2M,59,69,train,0\n"
        )
    catalog = read_dataset("kinetics400", root, tables, "train")
    video = "_dbcJuKJQNs_000040_000050.mkv"
    assert catalog.remarks == [f"1 annotated with two labels ({video})"]
    write_files(tables, {"validate.csv": table.read_text()})
    both = read_dataset("kinetics400", root, tables)
    assert "3 annotated with two splits" in both.summary()


def test_errors_of_every_data_set(tmp_path, ucf101):
    root, lists = ucf101
    for arguments, error, expected in (
        (("ucf10", root), ValueError, "Received: 'ucf10'. Did you mean ucf101?"),
        (("ucf101", root, lists, "val"), ValueError, "splits train, test. Received: 'val'"),
        (("ucf101", root, lists, "train", 4), ValueError, "folds 1 to 3. Received: 4"),
        (("ucf101", tmp_path / "no", lists), FileNotFoundError, "no folder .*no'. Expected the"),
        (("ucf101", root, tmp_path / "no"), FileNotFoundError, "no folder of annotations"),
        (("ucf101", root), FileNotFoundError, "does not hold UCF101's classInd.txt, nor does"),
        (("ucf101", lists, lists, "test"), ValueError, "holds none of the 1 videos.*'ApplyEye"),
    ):
        with pytest.raises(error, match=expected):
            read_dataset(*arguments)
