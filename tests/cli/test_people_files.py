"""What people import: files of people as spreadsheets and other programs write them (D8, I3)."""

import io
import json
import zipfile
from pathlib import Path

import pytest

from mailrotate.core.store.engine import Store
from mailrotate.core.values.hint import Command
from tests.support.console import Console
from tests.support.program import Completed
from tests.support.rows import Workspace

pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


@pytest.fixture
def program(store: Store, workspace: Workspace, tmp_path: Path) -> Console:
    workspace.add_mailbox("anna@sender.example")
    console = Console.on(store, tmp_path)
    console.env["MAILROTATE_USER"] = workspace.admin.email
    return console


def draft(program: Console, text: str, name: str = "autumn") -> str:
    steps = f"[[steps]]\nsubject = 'A question'\ntext = '''{text}'''\n"
    (program.home / f"{name}.toml").write_text(f"name = '{name}'\n{steps}", encoding="utf-8")
    program.run("campaign", "create", f"{name}.toml", "--from", "anna@sender.example")
    return name


def importing(
    program: Console, content: str | bytes, *options: str, name: str = "autumn", status: int = 0
) -> Completed:
    (program.home / "people.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    return program.run("recipient", "import", name, "people.csv", *options, check_status=status)


def fields(program: Console, address: str, name: str = "autumn") -> dict[str, str]:
    shown = program.run("recipient", "show", name, address, "--json").json()["fields"]
    assert isinstance(shown, dict)
    return shown


def letter(program: Console, address: str, name: str = "autumn") -> str:
    shown = program.run("campaign", "preview", name, "--to", address, "--json").json()["text"]
    assert isinstance(shown, str)
    return shown.partition("\n")[0]


# --- 08: what has no visible character is blank

INVISIBLE = {
    "zero-width space": "\u200b", "delete": "\x7f", "Braille blank": "\u2800", "Hangul filler": "\u3164",
    "lone control": "\x01", "no-break space and joiner": "\u00a0\u200d", "soft hyphen": "\u00ad",
    "half-width filler": "\uffa0", "word joiner": "\u2060", "byte order mark": "\ufeff",
    "variation selector": "\ufe0f", "direction marks": "\u200e\u202a\u202c\u2066\u2069",
    "Mongolian vowel separator": "\u180e", "tag": "\U000e0020", "grapheme joiner": "\u034f",
    "em space": "\u2003", "ideographic space": "\u3000", "line separator": "\u2028", "next line": "\x85",
    "lost object": "\ufffc", "musical null": "\U0001d159", "mark without a letter": "\u0301",
}  # fmt: skip


@pytest.mark.parametrize("value", INVISIBLE.values(), ids=INVISIBLE)
def test_d1_row_08_an_invisible_cell_is_a_missing_field(program: Console, value: str) -> None:
    draft(program, "Hello {{ first_name }}, welcome.")
    done = importing(
        program, f"email,first_name\nz@example.com,{value}\nkim@example.com,K\n", "--json", status=8
    )
    assert done.json()["imported"] == 1
    assert [(p["line"], p["problem"]) for p in done.json()["problems"]] == [
        (2, "has no first_name, which the text needs")
    ]


@pytest.mark.parametrize("value", ["\u200b", "\u2800", "\x01"])
def test_d1_row_08_an_invisible_field_takes_the_fallback_of_the_text(program: Console, value: str) -> None:
    draft(program, "Hello {{ first_name | default('there') }}, welcome.")
    importing(program, f"email,first_name\nz@example.com,{value}\n")
    program.run("recipient", "add", "autumn", "y@example.com", "--field", f"first_name={value}")
    assert letter(program, "z@example.com") == letter(program, "y@example.com") == "Hello there, welcome."


# --- 09: values are trimmed


def test_d8_row_09_values_are_trimmed_and_a_quoted_cell_after_blanks_is_read_as_quoted(
    program: Console,
) -> None:
    draft(program, "Hello {{ first_name }},")
    importing(
        program,
        "email; first_name\nv1@example.com; Kim\nv2@example.com;Kim \nv3@example.com;Kim\u00a0\n"
        'v5@example.com; "Kim"\nv6@example.com;"Kim\n"\nv7@example.com;\u3000Kim\u200b\u2009\n'
        'v8@example.com;\t"Kim" \nv9@example.com;"\ufeffKim"\n \u00a0v4@example.com\u200b ;Kim\r\n',
    )
    for number in range(1, 10):
        assert letter(program, f"v{number}@example.com") == "Hello Kim,"


def test_d8_row_09_what_joins_letters_within_a_value_stays(program: Console) -> None:
    draft(program, "Hello {{ first_name }}")
    kept = ["नर्मदा", "ക്‍", "\u2764\ufe0f", "👩\u200d🚀", "می\u200cخواهم"]
    rows = "".join(f"p{n}@example.com,{value}\n" for n, value in enumerate(kept))
    importing(program, f"email,first_name\n{rows}")
    assert [fields(program, f"p{n}@example.com")["first_name"] for n in range(len(kept))] == kept


# --- 10: the shapes of spreadsheets

SHAPES = {
    "index column": ",email,first_name\n1,p@example.com,Kim\n",
    "sep line": "sep=;\nemail;first_name\np@example.com;Kim\n",
    "trailing empty columns": "email,first_name,,\np@example.com,Kim,,\n",
    "empty column in the middle": "email,,first_name\np@example.com,,Kim\n",
    "short row": "email,first_name,note\np@example.com,Kim\n",
    "surplus blank cells": "email,first_name\np@example.com,Kim,, ,\u200b\n",
    "quoted sep line after a byte order mark": '\ufeff"sep=\t"\nemail\tfirst_name\np@example.com\tKim\n',
    "separator without text": "email|first_name\np@example.com|Kim\n",
    "blank lines and blank rows around": "\n,,\nemail,first_name,\n,,\np@example.com,Kim,\n,,\n\n",
    "title above the header": "Members of the club\n\nemail,first_name\np@example.com,Kim\n",
}


@pytest.mark.parametrize("content", SHAPES.values(), ids=SHAPES)
def test_d8_row_10_the_shapes_of_spreadsheets_are_read(program: Console, content: str) -> None:
    draft(program, "Hello {{ first_name }}")
    assert importing(program, content, "--json").json()["imported"] == 1
    assert fields(program, "p@example.com") == {"first_name": "Kim"}


def test_d8_row_10_columns_without_a_name_are_left_out_with_a_note(program: Console) -> None:
    draft(program, "Hello {{ first_name }}")
    said = importing(program, ",email,first_name,\n1,x6@example.com,Kim,\n").stderr
    assert "columns 1, 4 have no name and are left out" in said


def test_d8_row_10_a_surplus_cell_with_text_stays_an_error_of_its_line(program: Console) -> None:
    draft(program, "Hello {{ first_name }}")
    done = importing(
        program, "email,first_name,\na@example.com,Lee, Kim\nb@example.com,Kim\n", "--json", status=8
    )
    assert (done.json()["imported"], done.json()["problems"][0]["line"]) == (1, 2)


# --- 11: headers in other scripts


@pytest.mark.parametrize(
    ("header", "placed"),
    [
        ("नाम", "नाम"),
        ("பெயர்", "பெயர்"),
        ("prénom", "pre\u0301nom"),
        ("pre\u0301nom", "prénom"),
        ("İsim", "isim"),
        ("ISIM", "isim"),
        ("İSİM", "i\u0307si\u0307m"),
        ("ชื่อ", "ชื่อ"),
        ("ဦးနာမည်", "ဦးနာမည်"),
        ("Tên đầy đủ", "tên_đầy_đủ"),
        ("ชื่อ-นามสกุล", "ชื่อ_นามสกุล"),
        ("名前", "名前"),
        ("Grösse (cm)", "grösse_cm"),
    ],
)
def test_d1_row_11_a_header_in_any_script_is_the_field_of_the_text(
    program: Console, header: str, placed: str
) -> None:
    draft(program, f"Hello {{{{ {placed} }}}}")
    importing(program, f"email,{header}\nkim@example.com,Kim\n")
    assert letter(program, "kim@example.com") == "Hello Kim"


def test_d1_row_11_two_headers_that_differ_in_a_vowel_sign_are_two_fields(program: Console) -> None:
    draft(program, "{{ பெயர் }} {{ பெயரி }}")
    importing(program, "email,பெயர்,பெயரி\nkim@example.com,a,b\n")
    assert letter(program, "kim@example.com") == "a b"


def test_d1_row_11_a_field_that_is_given_by_hand_has_the_same_name(program: Console) -> None:
    draft(program, "Bonjour {{ prénom }}")
    program.run("recipient", "add", "autumn", "kim@example.com", "--field", "pre\u0301nom=Kim")
    assert letter(program, "kim@example.com") == "Bonjour Kim"


@pytest.mark.parametrize("header", ["2nd line", "signature", "Unsubscribe", "not", "True", "self", "1"])
def test_d1_a_header_that_no_text_can_name_is_offered_under_a_name_that_it_can(
    program: Console, header: str
) -> None:
    draft(program, "Hello")
    said = importing(program, f"email,{header}\nkim@example.com,Kim\n").stderr
    offered = said.partition("is the field {{ ")[2].partition(" }}")[0]
    draft(program, f"Hello {{{{ {offered} }}}}", "spring")
    importing(program, f"email,{header}\nkim@example.com,Kim\n", name="spring")
    assert letter(program, "kim@example.com", "spring") == "Hello Kim"


# --- 12: the contact's own fields


def test_d1_row_12_the_contacts_own_field_is_merged_before_the_check(program: Console) -> None:
    draft(program, "Hi", "c0")
    importing(program, "email\nlee@example.com\n", name="c0")
    program.run("contact", "set", "lee@example.com", "--field", "company=ACME")
    for name, text, content in (
        ("c1", "Hello {{ company }}", "email\nlee@example.com\n"),
        ("c2", "Hello {{ company | default('there') }}", "email\nlee@example.com\n"),
        ("c3", "Hello {{ company | default('there') }}", "email,company\nlee@example.com,\n"),
        ("c4", "Hello {{ company }}", "email,company\nlee@example.com, \u200b\n"),
    ):
        draft(program, text, name)
        importing(program, content, name=name)
        assert letter(program, "lee@example.com", name) == "Hello ACME"
    draft(program, "Hello {{ company }}", "c5")
    program.run("recipient", "add", "c5", "lee@example.com")
    assert letter(program, "lee@example.com", "c5") == "Hello ACME"


def test_d1_row_12_a_field_that_neither_the_row_nor_the_contact_has_refuses_the_row(program: Console) -> None:
    draft(program, "Hi", "c0")
    importing(program, "email\nle.e@gmail.com\nkim@example.com\npia@example.com\n", name="c0")
    program.run("contact", "set", "lee@gmail.com", "--field", "company=ACME", "--field", "city=Bonn")
    program.run("contact", "set", "kim@example.com", "--field", "city=Bonn")
    draft(program, "{{ company }} {{ city }}")
    # In another spelling the contact is found, too; and a column that a row has wins over the contact.
    content = "email,city\nlee@googlemail.com,\nkim@example.com,\npia@example.com,Ulm\nnew@example.com,Ulm\n"
    done = importing(program, content, "--json", status=8)
    assert [(p["line"], p["problem"]) for p in done.json()["problems"]] == [
        (3, "has no company, which the text needs"),
        (4, "has no company, which the text needs"),
        (5, "has no company, which the text needs"),
    ]
    assert letter(program, "le.e@gmail.com") == "ACME Bonn"


def test_d1_row_12_the_contacts_time_zone_counts_where_the_campaign_uses_it(program: Console) -> None:
    draft(program, "Hi", "c0")
    importing(program, "email\nlee@example.com\nkim@example.com\n", name="c0")
    program.run("contact", "set", "lee@example.com", "--field", "timezone=Asia/Tokyo")
    text = "name = 'zoned'\ntimezone = 'recipient'\n[[steps]]\nsubject = 'x'\ntext = 'Hi'\n"
    (program.home / "zoned.toml").write_text(text)
    program.run("campaign", "create", "zoned.toml", "--from", "anna@sender.example")
    done = importing(
        program, "email,timezone\nlee@example.com,\nkim@example.com,\n", "--json", name="zoned", status=8
    )
    assert [p["problem"] for p in done.json()["problems"]] == ["has no timezone"]
    shown = program.run("recipient", "show", "zoned", "lee@example.com", "--json").json()
    assert shown["timezone"] == "Asia/Tokyo"


# --- 20: the apostrophe of a spreadsheet


def test_d8_row_20_the_apostrophe_of_a_spreadsheet_is_cut(program: Console) -> None:
    draft(program, "{{ first_name }}")
    importing(
        program,
        "email,first_name\n'b@example.com,B\n'+c@example.com,'=1+1\n\u00a0'd@example.com,'Twas\n"
        "\"'e@example.com\",''quoted\no'neil@example.com,'@handle\n",
    )
    shown = {
        address: fields(program, address)["first_name"]
        for address in (
            "b@example.com", "+c@example.com", "d@example.com", "e@example.com", "o'neil@example.com",
        )
    }  # fmt: skip
    assert list(shown.values()) == ["B", "=1+1", "'Twas", "'quoted", "@handle"]


def test_d8_row_20_a_recipient_added_by_hand_has_no_apostrophe_either(program: Console) -> None:
    draft(program, "Hi")
    program.run("recipient", "add", "autumn", "'b@example.com")
    assert program.run("recipient", "list", "autumn", "--json").json()[0]["email"] == "b@example.com"


# --- encodings and formats


def test_d8_a_windows_1252_csv_is_refused_once_with_the_command_that_reads_it(program: Console) -> None:
    draft(program, "Hello {{ first_name }}")
    content = "email;first_name\n" + "".join(f"p{n}@example.com;Jürgen {n}\n" for n in range(300))
    refused = importing(program, content.encode("cp1252"), "--strict", status=2)
    command = Command("recipient", "import", "autumn", "people.csv", "--strict", "--encoding", "cp1252")
    assert refused.hint == command
    assert refused.stderr.startswith(
        "error: people.csv is not UTF-8; it seems to be cp1252, "
        "in which a line reads 'p0@example.com;Jürgen 0'"
    )
    assert program.run("recipient", "list", "autumn", "--json").json() == []
    assert program.run(*command.words, "--json").json()["imported"] == 300
    assert letter(program, "p299@example.com") == "Hello Jürgen 299"


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("cp1250", "Małgorzata Żółć"),
        ("mac_roman", "Jürgen Käthe"),
        ("cp932", "田中太郎"),
        ("cp1251", "Мария Петрова"),
    ],
)
def test_d8_a_file_in_another_encoding_is_refused_with_the_one_it_has(
    program: Console, encoding: str, name: str
) -> None:
    draft(program, "Hello {{ first_name }}")
    refused = importing(program, f"email,first_name\nkim@example.com,{name}\n".encode(encoding), status=2)
    assert isinstance(refused.hint, Command)
    assert refused.hint.words[-2:] == ("--encoding", encoding)
    program.run(*refused.hint.words)
    assert letter(program, "kim@example.com") == f"Hello {name}"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32"])
def test_d8_a_file_with_a_byte_order_mark_just_works(program: Console, encoding: str) -> None:
    draft(program, "Hello {{ first_name }}")
    importing(program, "email\tfirst_name\r\nkim@example.com\tJürg 名前\r\n".encode(encoding))
    assert letter(program, "kim@example.com") == "Hello Jürg 名前"


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (["[Content_Types].xml", "xl/workbook.xml"], "an Excel workbook (.xlsx)"),
        (["Index/Document.iwa"], "a Numbers spreadsheet (.numbers)"),
        (["people.csv"], "a compressed file (.zip)"),
    ],
)
def test_d8_a_spreadsheet_is_named_as_what_it_is_with_how_to_export_it(
    program: Console, names: list[str], what: str
) -> None:
    draft(program, "Hello")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, "<xml/>")
    refused = importing(program, packed.getvalue(), status=2)
    assert refused.stderr.startswith(f"error: people.csv is {what}, not a text file\nhint: ")
    assert "CSV" in str(refused.hint)
    listed = program.run("suppression", "import", "people.csv", check_status=2)
    assert f"is {what}, not a text file" in listed.stderr


# --- the exports of other programs, by their documented headers
# Autoklose, Instantly, Klenty and Woodpecker publish no headers of an export: theirs are the names that their
# documentation gives to the fields of an import or of the API. lemlist's are those that its users show.

EXPORTS = {
    "Google Contacts": (
        "First Name,Middle Name,Last Name,Phonetic First Name,Name Prefix,Nickname,File As,Organization Name,"
        "Organization Title,Birthday,Notes,Photo,Labels,E-mail 1 - Label,E-mail 1 - Value,E-mail 2 - Label,"
        "E-mail 2 - Value,Phone 1 - Label,Phone 1 - Value\n"
        "Kim,,Lee,,,,,Acme,CEO,,,,* myContacts,* Work,kim@example.com,Home,k@example.net,Mobile,'+49 30 1\n"
    ),
    "Google Contacts before 2024": (
        "Name,Given Name,Additional Name,Family Name,Organization 1 - Name,E-mail 1 - Type,E-mail 1 - Value\n"
        "Kim Lee,Kim,,Lee,Acme,*,kim@example.com\n"
    ),
    "Outlook": (
        '"First Name","Middle Name","Last Name","Company","Job Title","Business Phone","E-mail Address",'
        '"E-mail Type","E-mail Display Name","E-mail 2 Address","E-mail 2 Type"\n'
        '"Kim","","Lee","Acme","CEO","+49 30 1","kim@example.com","SMTP","Kim Lee","",""\n'
    ),
    "HubSpot": (
        "Record ID,First Name,Last Name,Email,Phone Number,Contact owner,Associated Company,Email Domain,"
        "Unsubscribed from all email\n501,Kim,Lee,kim@example.com,,,Acme,example.com,false\n"
    ),
    "Salesforce": (
        '"First Name","Last Name","Title","Account Name","Mailing Street","Email","Email Opt Out"\n'
        '"Kim","Lee","CEO","Acme","Main Street 1","kim@example.com","0"\n'
    ),
    "Apollo": (
        "First Name,Last Name,Title,Company,Company Name for Emails,Email,Email Status,Primary Email Source,"
        "Seniority,Work Direct Phone\nKim,Lee,CEO,Acme,Acme,kim@example.com,Verified,Apollo,C suite,'+49301\n"
    ),
    "LinkedIn connections": (
        'Notes:\n"When exporting your connection data, you may notice that some of the email addresses are '
        'missing. You will only see email addresses for connections who have allowed it."\n\n'
        "First Name,Last Name,URL,Email Address,Company,Position,Connected On\n"
        "Kim,Lee,https://www.linkedin.com/in/kim,kim@example.com,Acme,CEO,12 Nov 2026\n"
    ),
    "Mailchimp": (
        '"Email Address","First Name","Last Name",Company,Address,"Phone Number",MEMBER_RATING,OPTIN_TIME\n'
        'kim@example.com,Kim,Lee,Acme,,,2,"2026-11-01 10:00:00"\n'
    ),
    "Brevo": (
        "CONTACT ID;EMAIL;FIRSTNAME;LASTNAME;SMS;COMPANY;ADDED_TIME\n"
        "1;kim@example.com;Kim;Lee;;Acme;01-11-2026\n"
    ),
    "Pipedrive": (
        "Person - Name,Person - First name,Person - Last name,Person - Organization,Person - Email - Work,"
        "Person - Email - Home,Person - Phone - Work\nKim Lee,Kim,Lee,Acme,kim@example.com,,\n"
    ),
    "Outlook in German": (
        'Vorname;Nachname;Firma;Position;E-Mail-Adresse\n"Kim";"Lee";"Acme";"CEO";"kim@example.com"\n'
    ),
    "Autoklose": (
        "First Name,Last Name,Email,Organization,Job Title,Industry,Phone\n"
        "Kim,Lee,kim@example.com,Acme,CEO,Software,\n"
    ),
    "Instantly": (
        "email,first_name,last_name,company_name,job_title,phone,website,personalization,is_subscribed\n"
        'kim@example.com,Kim,Lee,Acme,CEO,,https://acme.example,"I saw your talk, Kim.",true\n'
    ),
    "Klenty": (
        "Email,FirstName,LastName,MiddleName,FullName,Company,Account,Department,CompanyDomain,Title,Phone\n"
        "kim@example.com,Kim,Lee,,Kim Lee,Acme,,Sales,acme.example,CEO,\n"
    ),
    "lemlist": (
        "email,firstName,lastName,companyName,jobTitle,phone,linkedinUrl,icebreaker\n"
        "kim@example.com,Kim,Lee,Acme,CEO,,,Hello there\n"
    ),
    "Woodpecker": (
        "id,email,first_name,last_name,company,industry,website,linkedin_url,tags,title,phone,city,country,"
        "last_contacted,last replied,snippet1,snippet2,status\n"
        "4804,kim@example.com,Kim,Lee,Acme,Software,,,#VIP,CEO,,Bonn,Germany,2026-08-14T02:08:58+0200,,,,ACTIVE\n"
    ),
    "Thunderbird": (
        "First Name,Last Name,Display Name,Nickname,Primary Email,Secondary Email,Work Phone,Organization\n"
        "Kim,Lee,Kim Lee,,kim@example.com,,,Acme\n"
    ),
}


@pytest.mark.parametrize("content", EXPORTS.values(), ids=EXPORTS)
def test_d8_the_export_of_a_usual_program_imports_with_one_command(program: Console, content: str) -> None:
    draft(program, "Hello {{ first_name }} {{ last_name }} of {{ company }}")
    done = importing(program, content, "--json")
    assert json.loads(done.stdout) == {
        "imported": 1,
        "duplicate": 0,
        "suppressed": 0,
        "invalid": 0,
        "several_addresses": 0,
        "problems": [],
    }
    assert letter(program, "kim@example.com") == "Hello Kim Lee of Acme"


def test_d8_an_export_of_listmonk_has_the_whole_name_and_keeps_its_attributes(program: Console) -> None:
    draft(program, "Hello {{ name }}")
    done = importing(
        program,
        "uuid,email,name,attributes,status,created_at,updated_at\n"
        '5a0d2f6e-8f0b-4c39-a6a5-7b1f64d9e3c1,kim@example.com,Kim Lee,"{""city"": ""Bonn, Rhein"", '
        '""tags"": [""a"", ""b""]}",enabled,2026-11-01 10:00:00 +0000 UTC,2026-11-01 10:00:00 +0000 UTC\n',
        "--json",
    )
    assert (done.json()["imported"], done.json()["problems"]) == (1, [])
    assert letter(program, "kim@example.com") == "Hello Kim Lee"
    assert json.loads(fields(program, "kim@example.com")["attributes"]) == {
        "city": "Bonn, Rhein",
        "tags": ["a", "b"],
    }


def test_d8_of_several_addresses_in_a_cell_of_google_contacts_the_first_is_imported(program: Console) -> None:
    draft(program, "Hello {{ first_name }}")
    importing(
        program,
        "First Name,Last Name,E-mail 1 - Label,E-mail 1 - Value,E-mail 2 - Label,E-mail 2 - Value\n"
        "Kim,Lee,* Work,kim@example.com ::: k.lee@example.net,Home,kim@example.org\n",
    )
    listed = program.run("recipient", "list", "autumn", "--json").json()
    assert [recipient["email"] for recipient in listed] == ["kim@example.com"]
    assert letter(program, "kim@example.com") == "Hello Kim"


def test_d8_the_report_of_an_import_counts_the_cells_with_several_addresses(program: Console) -> None:
    draft(program, "Hello {{ first_name }}")
    people = (
        "First Name,E-mail 1 - Value\nKim,kim@example.com ::: k.lee@example.net\n"
        "Lee,lee@example.com\nMia,mia@example.com ::: m@example.net ::: m@example.org\n"
        "No,no ::: no@example.com\n"
    )
    said = importing(program, people, "--dry-run", status=8)
    assert "2 rows have several addresses in one cell; only the first address is used" in said.stderr
    done = importing(program, people, "--json", status=8).json()
    assert (done["imported"], done["invalid"], done["several_addresses"]) == (3, 1, 2)
    one = importing(program, "email,first_name\nnoa@example.com,Noa\n", "--json").json()
    assert one["several_addresses"] == 0


@pytest.mark.parametrize("options", [(), ("--email-column", "1")])
@pytest.mark.parametrize("people", ["kim@example.com,Kim\nlee@example.com,Lee\n", "kim@example.com\n"])
def test_d8_a_file_that_begins_with_a_recipient_is_refused_and_loses_nobody(
    program: Console, people: str, options: tuple[str, ...]
) -> None:
    draft(program, "Hello")
    error = importing(program, people, *options, "--json", status=2).error()
    assert (error["code"], "kim@example.com" in error["message"]) == ("csv.no_header", True)
    assert "email,first_name" in error["hint"]


def test_d8_a_problem_takes_one_line_whatever_its_cell_holds(program: Console) -> None:
    draft(program, "Hello")
    done = importing(program, 'email\n"kim@example.com\nlee@example.com"\n', status=8)
    assert [line for line in done.stderr.splitlines() if "lee@" in line] == [done.stderr.splitlines()[-1]]
    assert done.stderr.splitlines()[-1].startswith("  line 2: kim@example.com lee@example.com: ")


def test_d8_columns_are_chosen_by_header_name_or_number(program: Console) -> None:
    draft(program, "Hello {{ first_name }} of {{ company }}")
    content = "Mail (private),Mail (work),Called,Firm=Name\nx@example.net,kim@example.com,Kim,Acme\n"
    refused = importing(program, content, status=2)
    assert "no column has the addresses" in refused.stderr
    importing(
        program, content, "--email-column", "Mail (work)", "--map", "called=first_name",
        "--map", "Firm=Name=company",
    )  # fmt: skip
    assert letter(program, "kim@example.com") == "Hello Kim of Acme"
    draft(program, "Hello {{ first_name }}", "spring")
    importing(program, content, "--map", "1=email", "--map", "3=first_name", name="spring")
    assert letter(program, "x@example.net", "spring") == "Hello Kim"


def test_d8_equal_headers_are_numbered_unless_the_text_uses_them(program: Console) -> None:
    draft(program, "Hello {{ name }}")
    said = importing(program, "email,name,Phone,phone\nkim@example.com,Kim,1,2\n").stderr
    assert "column 'phone' is the field {{ phone_2 }}" in said
    assert fields(program, "kim@example.com") == {"name": "Kim", "phone": "1", "phone_2": "2"}
    refused = importing(program, "email,Name,Name\nlee@example.com,Lee,L\n", status=2)
    assert refused.stderr.splitlines()[:2] == [
        "error: the text uses a field that several columns have",
        "  'name' (columns 2 'Name', 3 'Name')",
    ]
    importing(program, "email,Name,Name\nlee@example.com,Lee,L\n", "--map", "3=name")
    assert fields(program, "lee@example.com") == {"name": "L", "name_2": "Lee"}


@pytest.mark.parametrize(
    "options",
    [
        ("--map", "nothing"),
        ("--map", "name=2nd"),
        ("--map", "name=signature"),
        ("--map", "absent=name"),
        ("--map", "name=a", "--map", "name=b"),
        ("--map", "name=a", "--map", "email=a"),
        ("--email-column", "email", "--map", "name=email"),
        ("--email-column", "absent"),
        ("--email-column", "3"),
        ("--encoding", "klingon"),
    ],
)
def test_d8_a_choice_of_columns_that_cannot_be_is_refused(program: Console, options: tuple[str, ...]) -> None:
    draft(program, "Hello")
    importing(program, "email,name\nkim@example.com,Kim\n", *options, status=2)
    assert program.run("recipient", "list", "autumn", "--json").json() == []
