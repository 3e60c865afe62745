-- A name is its words in alphabetical order without accents, with an ISO date of birth; an address is its postcode
-- with the number of the house and the flat; without a house's number the flat's counts, else the first line.
-- Before that apostrophes go (O'Brien is OBrien), characters that nobody sees, and letters that have no plain one under an accent.
CREATE OR REPLACE MACRO clean(text) AS regexp_replace(
    translate(replace(replace(replace(strip_accents(lower(text)), 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'øłđðı', 'olddi'),
    '[''’‘ʼʹ`´{unseen}]', '', 'g');
CREATE OR REPLACE MACRO folded(text) AS
    array_to_string(list_sort(regexp_extract_all(clean(text), '[\p{L}\p{N}]+')), ' ');
CREATE OR REPLACE MACRO person_value(name, born) AS
    CASE WHEN regexp_full_match(born, '\d{4}-\d{2}-\d{2}') AND folded(name) <> '' THEN folded(name) || '|' || born END;
-- Words of a name without titles, what is written behind it (Jr, MBE) and remarks in brackets; Mc is no word of its own.
CREATE OR REPLACE MACRO name_words(text) AS list_filter(
    regexp_extract_all(regexp_replace(regexp_replace(clean(text), '\([^)]*\)|"[^"]*"', ' ', 'g'), '\bmc ', 'mc', 'g'),
        '[\p{L}\p{N}]+'),
    lambda w: w NOT IN ('mr', 'mrs', 'ms', 'miss', 'mx', 'master', 'dr', 'prof', 'rev', 'sir', 'dame', 'lord', 'lady', 'jr', 'jnr',
        'junior', 'sr', 'snr', 'senior', 'ii', 'iii', 'iv', 'esq', 'mbe', 'obe', 'cbe', 'phd', 'md'));
-- The surname stands last, or before a comma; an initial behind it is none.
CREATE OR REPLACE MACRO last_word(words) AS coalesce(list_filter(words, lambda w: length(w) > 1)[-1], words[-1]);
CREATE OR REPLACE MACRO surname(name) AS
    last_word(name_words(CASE WHEN contains(name, ',') THEN split_part(name, ',', 1) ELSE name END));
-- A list of one, so that words are found once, however often they are named here: a macro writes out what it is given.
CREATE OR REPLACE MACRO first_word(words) AS list_transform([words], lambda w: CASE
    WHEN len(w) >= 2 THEN CASE WHEN w[1] = last_word(w) THEN w[2] ELSE w[1] END END)[1];
CREATE OR REPLACE MACRO forename(name) AS CASE
    WHEN contains(name, ',') THEN coalesce(name_words(split_part(name, ',', 2))[1], first_word(name_words(split_part(name, ',', 1))))
    ELSE first_word(name_words(name)) END;
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
    CASE WHEN postcode(text) <> '' THEN postcode(text) || '|' || coalesce(
        address_number(address_rest(text)) || '|' || address_flat(address_rest(text)),
        coalesce(
            nullif(regexp_extract(address_rest(text), '[0-9]+[A-Z]?'), ''),
            folded(split_part(address_rest(text), ',', 1))) || '|')
    END;
CREATE OR REPLACE MACRO on_service(service, value) AS service || chr(31) || value;
-- A web address without scheme, www., m. and the slash at its end.
CREATE OR REPLACE MACRO url_value(text) AS rtrim(regexp_replace(text, '^(https?://)?(www\.|m\.)?', ''), '/');
-- The same with its host in lower case and everything behind it as written, for hosts that tell upper and lower case apart.
CREATE OR REPLACE MACRO bare_url(text) AS rtrim(regexp_replace(trim(text), '^(https?://)?(www\.|m\.)?', '', 'i'), '/');
CREATE OR REPLACE MACRO url_exact(text) AS
    lower(regexp_extract(bare_url(text), '^[^/?#]*')) || regexp_replace(bare_url(text), '^[^/?#]*', '');
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
