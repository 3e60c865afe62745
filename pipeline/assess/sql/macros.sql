-- A name is its words in alphabetical order without accents, with an ISO date of birth; an address is its postcode
-- with the number of the house and the flat; without a house's number the flat's counts, else the first line.
-- Before that apostrophes go (O'Brien is OBrien), characters that nobody sees, and letters that have no plain one under an accent.
CREATE OR REPLACE MACRO clean(text) AS regexp_replace(
    translate(replace(replace(replace(strip_accents(lower(text)), 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'øłđðı', 'olddi'),
    '[''’‘ʼʹ`´{unseen}]', '', 'g');
CREATE OR REPLACE MACRO folded(text) AS
    array_to_string(list_sort(regexp_extract_all(clean(text), '[\p{L}\p{N}]+')), ' ');
-- A list of one, here and below: what is in it is found once, however often it is named. A macro writes out what it is given, and
-- every regular expression that stands in a statement is made ready each time that the statement is run.
CREATE OR REPLACE MACRO person_value(name, born) AS CASE WHEN regexp_full_match(born, '\d{4}-\d{2}-\d{2}')
    THEN list_transform([folded(name)], lambda words: CASE WHEN words <> '' THEN words || '|' || born END)[1] END;
-- Words of a name without titles, what is written behind it (Jr, MBE) and remarks in brackets; Mc is no word of its own.
CREATE OR REPLACE MACRO name_words(text) AS list_filter(
    regexp_extract_all(regexp_replace(regexp_replace(clean(text), '\([^)]*\)|"[^"]*"', ' ', 'g'), '\bmc ', 'mc', 'g'),
        '[\p{L}\p{N}]+'),
    lambda w: w NOT IN ('mr', 'mrs', 'ms', 'miss', 'mx', 'master', 'dr', 'prof', 'rev', 'sir', 'dame', 'lord', 'lady', 'jr', 'jnr',
        'junior', 'sr', 'snr', 'senior', 'ii', 'iii', 'iv', 'esq', 'mbe', 'obe', 'cbe', 'phd', 'md'));
-- The surname stands last, or before a comma; an initial behind it is none.
CREATE OR REPLACE MACRO last_word(words) AS
    list_transform([words], lambda w: coalesce(list_filter(w, lambda x: length(x) > 1)[-1], w[-1]))[1];
CREATE OR REPLACE MACRO surname(name) AS
    last_word(name_words(CASE WHEN contains(name, ',') THEN split_part(name, ',', 1) ELSE name END));
CREATE OR REPLACE MACRO first_word(words) AS list_transform([words], lambda w: CASE
    WHEN len(w) >= 2 THEN CASE WHEN w[1] = last_word(w) THEN w[2] ELSE w[1] END END)[1];
-- Words before and behind the comma, if there is one.
CREATE OR REPLACE MACRO name_parts(name) AS list_transform(
    [CASE WHEN contains(name, ',') THEN split_part(name, ',', 1) ELSE name END, split_part(name, ',', 2)], lambda part: name_words(part));
CREATE OR REPLACE MACRO forename(name) AS
    list_transform([name_parts(name)], lambda parts: coalesce(parts[2][1], first_word(parts[1])))[1];
-- E-mail addresses of which several can reach one mailbox.
CREATE OR REPLACE MACRO several_spellings(email) AS regexp_matches(email, '\+|@(gmail|googlemail)\.com$|@.*xn--|[^\x00-\x7f]');
CREATE OR REPLACE MACRO postcode(text) AS
    regexp_replace(regexp_extract(upper(text), '\b[A-Z]{1,2}[0-9][A-Z0-9]? {0,3}[0-9][A-Z]{2}\b'), ' ', '', 'g');
-- "2/14 High Street" is flat 2 of number 14.
CREATE OR REPLACE MACRO address_rest(text) AS regexp_replace(
    regexp_replace(upper(text), '\b[A-Z]{1,2}[0-9][A-Z0-9]? {0,3}[0-9][A-Z]{2}\b', ''),
    '^\W*([0-9]{1,4}[A-Z]?) ?/ ?([0-9]{1,4}[A-Z]?)\b', 'FLAT \1, \2');
CREATE OR REPLACE MACRO address_flat(rest) AS
    regexp_extract(rest, '\b(FLAT|APARTMENT|APT|UNIT|ROOM)\W{1,3}([0-9]{1,4}[A-Z]?|[A-Z])\b', 2);
CREATE OR REPLACE MACRO address_house(rest) AS
    ltrim(regexp_replace(rest, '\b(FLAT|APARTMENT|APT|UNIT|ROOM)\W{1,3}([0-9]{1,4}[A-Z]?|[A-Z])\b', ''), ' ,');
CREATE OR REPLACE MACRO address_number(rest) AS nullif(regexp_extract(address_house(rest), '[0-9]+[A-Z]?'), '');
CREATE OR REPLACE MACRO address_value(text) AS
    list_transform([postcode(text)], lambda code: CASE WHEN code <> '' THEN code || '|' || list_transform([address_rest(text)],
        lambda rest: coalesce(address_number(rest) || '|' || address_flat(rest),
            coalesce(nullif(regexp_extract(rest, '[0-9]+[A-Z]?'), ''), folded(split_part(rest, ',', 1))) || '|'))[1] END)[1];
CREATE OR REPLACE MACRO on_service(service, value) AS service || chr(31) || value;
-- A web address without scheme, www., m. and the slash at its end.
CREATE OR REPLACE MACRO url_value(text) AS rtrim(regexp_replace(text, '^(https?://)?(www\.|m\.)?', ''), '/');
-- The same with its host in lower case and everything behind it as written, for hosts that tell upper and lower case apart.
CREATE OR REPLACE MACRO bare_url(text) AS rtrim(regexp_replace(trim(text), '^(https?://)?(www\.|m\.)?', '', 'i'), '/');
CREATE OR REPLACE MACRO url_exact(text) AS list_transform(
    [bare_url(text)], lambda bare: lower(regexp_extract(bare, '^[^/?#]*')) || regexp_replace(bare, '^[^/?#]*', ''))[1];
-- The part of a key that names somebody: of a person the name, of an account what stands behind the service.
CREATE OR REPLACE MACRO named(kind, value) AS
    CASE WHEN kind LIKE 'person%' THEN split_part(value, '|', 1) ELSE split_part(value, chr(31), -1) END;
-- What somebody types who has no number: nothing but zeros, behind the country code of a telephone number.
CREATE OR REPLACE MACRO only_zeros(kind, value) AS CASE kind
    WHEN 'phone' THEN length(rtrim(value, '0')) <= 4
    WHEN 'ip' THEN false WHEN 'address' THEN false
    -- A digest of one digit again and again, behind the name of its algorithm.
    WHEN 'file_hash' THEN rtrim(split_part(value, ':', 2), left(split_part(value, ':', 2), 1)) = ''
    ELSE rtrim(value, '0') = '' END;
-- For lists: the key of an address without the flat, and the flat.
CREATE OR REPLACE MACRO whole_house(kind, value) AS
    CASE kind WHEN 'address' THEN regexp_replace(value, '\|[^|]*$', '') ELSE value END;
CREATE OR REPLACE MACRO flat_of(value) AS split_part(value, '|', 3);
-- By which a key is found in the kept index: of an address without the flat, so that lists find every flat of a house.
CREATE OR REPLACE MACRO key_digest(kind, value) AS (hash(kind, whole_house(kind, value)) & 4294967295)::UINTEGER;
