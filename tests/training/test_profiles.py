import pytest

from training.cleaning.profiles import load_profiles
from training.errors import ConfigError


def test_the_web_profile_has_the_published_russian_thresholds():
    web = load_profiles({})["web"]
    assert web.language_score == 0.9
    assert web.repetition.dup_line_frac == 0.322
    assert web.repetition.top_n_grams == {2: 0.184, 3: 0.164, 4: 0.146}
    assert web.repetition.dup_n_grams == {5: 0.168, 6: 0.156, 7: 0.145, 8: 0.133, 9: 0.121, 10: 0.109}
    assert (web.gopher.min_avg_word_length, web.gopher.max_avg_word_length) == (3, 11)
    assert web.gopher.max_non_alpha_words_ratio == 0.713
    assert len(web.gopher.stop_words) == 22
    assert (web.fineweb.line_punct_thr, web.fineweb.new_line_ratio) == (0.231, 0.139)


def test_every_kind_of_text_has_its_profile():
    profiles = load_profiles({})
    kinds = {"web", "prose", "listings", "reviews", "dialogues", "documentation", "english"}
    assert kinds == set(profiles)
    short = {"listings", "reviews", "dialogues"}  # a changed word is more of a short text
    for name, profile in profiles.items():
        near = profile.near_duplicates
        assert (near.ngram, near.buckets, near.hashes) == ((5, 25, 5) if name in short else (5, 20, 6))
    assert profiles["listings"].gopher is None


def test_a_run_changes_single_settings():
    changes = {"web": {"min_chars": 50, "gopher": {"min_doc_words": 5}, "near_duplicates": {"buckets": 14}}}
    web, built_in = load_profiles(changes)["web"], load_profiles({})["web"]
    assert (web.min_chars, web.gopher.min_doc_words, web.near_duplicates.buckets) == (50, 5, 14)
    assert web.gopher.stop_words == built_in.gopher.stop_words
    assert web.repetition == built_in.repetition


def test_a_run_takes_out_a_whole_filter():
    assert load_profiles({"web": {"fineweb": False}})["web"].fineweb is None


def test_a_new_profile_extends_another():
    forum = load_profiles({"forum": {"extends": "web", "languages": ["ru", "uk"]}})["forum"]
    assert forum.languages == ("ru", "uk")
    assert forum.fineweb == load_profiles({})["web"].fineweb


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"web": {"min_char": 1}}, "corpus.profiles.web.min_char: Extra inputs are not permitted"),
        ({"web": {"gopher": {"words": 1}}}, "corpus.profiles.web.gopher.words: Extra inputs"),
        ({"web": {"language_score": 2}}, "corpus.profiles.web.language_score: Input should be less than"),
        ({"web": {"min_chars": 2_000_000}}, "min_chars 2000000 is more than max_chars 1000000"),
        ({"forum": {"min_chars": 1}}, "corpus.profiles.forum: is new: say `extends`; there are dialogues"),
        ({"forum": {"extends": "wbe"}}, "corpus.profiles.forum: extends 'wbe', which is not known"),
    ],
)
def test_a_mistake_is_named_by_its_key(changes, message):
    with pytest.raises(ConfigError) as caught:
        load_profiles(changes)
    assert message in str(caught.value)


def test_profiles_can_be_hashed_into_a_stage_key():
    first, second = (load_profiles({})["web"].model_dump_json() for _ in range(2))
    assert first == second
