"""The headers of other systems, as they come, and columns as somebody says."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botrix.drafts import Form
from botrix.errors import InvalidInput
from botrix.headers import HEADER_SETS
from botrix.mappings import FIELDS, read_mapping
from botrix.model import Person
from botrix.roster import BadRow, RosterReader, Row

MOODLE = "username,firstname,lastname,email,course1,cohort1,cohort2,idnumber,suspended,deleted"
CANVAS = (
    "user_id,integration_id,login_id,password,ssha_password,authentication_provider_id,"
    "first_name,last_name,short_name,email,status"
)
GOOGLE = (
    "First Name [Required],Last Name [Required],Email Address [Required],Password [Required],"
    "Password Hash Function [UPLOAD ONLY],Org Unit Path [Required],New Primary Email [UPLOAD ONLY],"
    "Recovery Email,Home Secondary Email,Work Secondary Email,"
    "Recovery Phone [MUST BE IN THE E.164 FORMAT],Work Phone,Home Phone,Mobile Phone,Work Address,"
    "Home Address,Employee ID,Employee Type,Employee Title,Manager Email,Department,Cost Center,"
    "Building ID,Floor Name,Floor Section,Change Password at Next Sign-In,New Status [UPLOAD ONLY],"
    "New Licenses [UPLOAD ONLY],Advanced Protection Program enrollment"
)
ENTRA = (
    "Name [displayName] Required,User name [userPrincipalName] Required,"
    "Initial password [passwordProfile] Required,Block sign in (Yes/No) [accountEnabled] Required,"
    "First name [givenName],Last name [surname],Job title [jobTitle],Department [department],"
    "Usage location [usageLocation],Office phone [telephoneNumber],Mobile phone [mobile]"
)


def reader(mapping: str | None = None) -> RosterReader:
    return RosterReader("text/csv", Form(read_mapping(mapping)))


def read(csv: str, mapping: str | None = None) -> list[Row | BadRow]:
    made = reader(mapping)
    return made.feed(csv.encode()) + made.finish()


def only(csv: str, mapping: str | None = None) -> tuple[Person, str | None]:
    (row,) = read(csv, mapping)
    assert isinstance(row, Row), row
    return row.person, row.password


def reason(csv: str, mapping: str | None = None) -> str:
    (row,) = read(csv, mapping)
    assert isinstance(row, BadRow), row
    return row.reason


def google(**cells: str) -> str:
    names = {"first": 0, "last": 1, "email": 2, "password": 3, "hash": 4, "rename": 6, "work": 11}
    names |= {"mobile": 13, "id": 16, "title": 18, "status": 26}
    row = [""] * 29
    given = {"first": "Ada", "last": "L", "email": "ada@b.example", "password": "S3cret!!"}
    for name, cell in {**given, **cells}.items():
        row[names[name]] = cell
    return f"{GOOGLE}\n{','.join(row)}\n"


def test_moodle() -> None:
    row = "ada,Ada,L,ada@b.example,maths,year-7,chess club,017,0,0"
    person, _ = only(f"{MOODLE}\n{row}\n")
    assert (person.username, person.given_name, person.family_name) == ("ada", "Ada", "L")
    assert person.groups == ("year-7", "chess club")
    assert person.attributes == {"employee_number": "017"}
    assert reason(f"{MOODLE}\n{row[:-1]}1\n") == (
        "deleted says that it is deleted; no account is made of it"
    )
    assert "suspended" in reason(f"{MOODLE}\n{row[:-3]}1,0\n")
    assert "neither 1 nor 0" in reason(f"{MOODLE}\n{row[:-1]}perhaps\n")
    header = "username,firstname,lastname,email,oldusername"
    assert "renames" in reason(f"{header}\nada,Ada,L,a@b.example,adda\n")


def test_canvas() -> None:
    row = "01103,,bsmith01,pw,,,Bob,Smith,Bobby,bob@b.example,active"
    person, password = only(f"{CANVAS}\n{row}\n")
    assert (person.username, person.display_name, password) == ("bsmith01", "Bobby", "pw")
    assert person.attributes == {"employee_number": "01103"}
    for status in ("deleted", "suspended", "gone"):
        assert "status is not active" in reason(f"{CANVAS}\n{row.replace('active', status)}\n")
    assert "hash" in reason(f"{CANVAS}\n{row.replace('pw,', ',{SSHA}x')}\n")


def test_google() -> None:
    person, password = only(google(work="", mobile="+49 30 1", id="7", title="Teacher"))
    assert (person.given_name, person.email) == ("Ada", "ada@b.example")
    assert password == "S3cret!!"
    assert person.attributes == {"phone": "+49 30 1", "employee_number": "7", "title": "Teacher"}
    person, _ = only(google(work="+49 1", mobile="+49 2"))  # the first that is filled in
    assert person.attributes == {"phone": "+49 1"}
    assert "****" in reason(google(password="****"))
    assert "hash" in reason(google(hash="SHA-1"))
    assert "renames" in reason(google(rename="eva@b.example"))
    assert "New Status [UPLOAD ONLY] is not active" in reason(google(status="Suspended"))
    assert only(google(status="Active"))


@pytest.mark.parametrize(
    "first", ["version:v1.0\n", "version:v1.0,,,,\r\n", '"version:v1.0"\n', ""]
)
def test_entra(first: str) -> None:
    row = "Alain Charon,alain@contoso.example,Password1!,No,Alain,Charon,Engineer,IT,US,,+33 1"
    person, password = only(f"{first}{ENTRA}\n{row}\n")
    assert (person.username, password) == ("alain@contoso.example", "Password1!")
    assert person.display_name == "Alain Charon"
    assert person.attributes == {"title": "Engineer", "department": "IT", "phone": "+33 1"}
    assert "may not sign in" in reason(f"{first}{ENTRA}\n{row.replace(',No,', ',Yes,')}\n")
    assert "neither Yes nor No" in reason(f"{first}{ENTRA}\n{row.replace(',No,', ',x,')}\n")
    assert "example of the form" in reason(f"{first}{ENTRA}\nExample: {row}\n")


def test_entra_in_another_language_and_with_the_opposite_column() -> None:
    header = "Nom [displayName] Obligatoire,Utilisateur [userPrincipalName],Actif [accountEnabled]"
    assert only(f"{header}\nA,a@b.example,Yes\n")
    assert "may not sign in" in reason(f"{header}\nA,a@b.example,No\n")


def test_rows_keep_the_numbers_of_the_file() -> None:
    rows = read(f"version:v1.0\n{ENTRA}\nA,a@b.example,pw,No,A,B,,,,,\n")
    assert [row.number for row in rows] == [3]


@pytest.mark.parametrize(
    ("header", "known"),
    [
        (MOODLE, "moodle"),
        (CANVAS, "canvas"),
        (GOOGLE, "google"),
        (ENTRA, "entra"),
        ("username,firstname,lastname,email", None),
        ("username,email,deleted", None),
        ("user_id,login_id,email", None),
        ("First Name,Last Name,Email Address", None),
        ("Name [displayName],Mail [mail]", None),
        (f"{CANVAS},username,firstname,lastname,course1", None),  # of two at once
    ],
)
def test_what_is_recognised(header: str, known: str | None) -> None:
    made = reader()
    try:
        made.feed(header.encode() + b"\n")
    except InvalidInput:
        assert known is None
    assert made.mapping == known


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("header", [MOODLE, CANVAS, GOOGLE, ENTRA])
def test_whatever_stands_between_the_cells(header: str, delimiter: str) -> None:
    made = reader()
    made.feed(header.replace(",", delimiter).encode() + b"\n")
    assert made.mapping in HEADER_SETS


def test_the_plain_synonyms_rule_where_nothing_is_recognised() -> None:
    person, _ = only("Login,Mail,deleted\nada,a@b.example,1\n")
    assert person.username == "ada"


def test_as_somebody_says() -> None:
    said = json.dumps(
        {"Vor Name": "given_name", "Zuname": "family_name", "mail": None, "N": "title"}
    )
    made = reader(said)
    rows = made.feed(b"vorname,Zuname,Mail,N,Dept,Job Title\nAda,L,no address,7,IT,x\n")
    (row,) = rows
    assert isinstance(row, Row)
    assert (row.person.given_name, row.person.family_name, row.person.email) == ("Ada", "L", "")
    assert row.person.attributes == {"title": "7", "department": "IT"}
    assert made.ignored_columns == ("Mail", "Job Title")
    assert made.mapping is None


@pytest.mark.parametrize(
    ("mapping", "reason"),
    [
        ("moodel", "there is no mapping 'moodel'; name one of moodle"),
        ("{", "there is no mapping"),
        ("[]", "no JSON object"),
        ("{}", "no JSON object"),
        ('{"a": "shoe"}', "makes 'shoe' of 'a'"),
        ('{"a": 1}', "makes '1' of 'a'"),
        ('{"a": "email", "a": "title"}', "there is no mapping"),
        ("{" * 5000, "longer than 1024"),
        ("[" * 1000, "there is no mapping"),
    ],
)
def test_mappings_that_cannot_be_used(mapping: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        read_mapping(mapping)


@pytest.mark.parametrize(
    ("mapping", "advice"),
    [
        ('{"Klasse": "title"}', "has no column 'Klasse'"),
        ('{"a": "email", "b": "email"}', "two columns are email"),
        ('{"a": null}', "no usable column"),
        ("canvas", "no usable column"),
    ],
)
def test_rosters_that_a_mapping_does_not_fit(mapping: str, advice: str) -> None:
    with pytest.raises(InvalidInput, match=advice):
        read("a,b\n1,2\n", mapping)


def test_the_column_of_reasons_is_not_told_as_ignored() -> None:
    made = reader()
    made.feed(b"username,botrix_reason,room\nada,x,7\n")
    assert made.ignored_columns == ("room",)


_NAME = st.sampled_from([*MOODLE.split(","), *CANVAS.split(","), *ENTRA.split(","), "x", ""])
_TEXT = st.text(st.characters(exclude_characters='\n\r"\0', exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=400)
@given(
    st.lists(_NAME, min_size=1, max_size=12),
    st.sampled_from([None, *HEADER_SETS])
    | st.dictionaries(_NAME, st.sampled_from([*FIELDS, None])),
    st.lists(st.lists(_TEXT, min_size=1, max_size=12), max_size=4),
)
def test_whatever_comes_it_is_read_or_refused(
    header: list[str], mapping: str | dict[str, str | None] | None, rows: list[list[str]]
) -> None:
    said = json.dumps(mapping) if isinstance(mapping, dict) else mapping
    lines = [",".join(f'"{cell}"' for cell in row[: len(header)]) for row in [header, *rows]]
    try:
        for row in read("\n".join(lines), said):
            if isinstance(row, BadRow):
                assert row.reason.isprintable()
            else:
                assert isinstance(row.person, Person)
    except InvalidInput as error:
        assert str(error).isprintable()
