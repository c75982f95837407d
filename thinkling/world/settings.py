"""The recipe of a world."""

from __future__ import annotations

from pydantic import Field

from thinkling.core.recipe import Settings, StageRecipe


class Shares(Settings):
    """Shares of the good text, by characters; they are scaled to sum to one."""

    textbook: float = Field(0.58, ge=0, description="exposition, worked problems, exercises, drills, spelling")
    encyclopedia: float = Field(0.13, ge=0, description="people, towns, teams, books, schools, countries")
    story: float = Field(0.11, ge=0, description="short stories")
    forum: float = Field(0.10, ge=0, description="threads with questions, wrong and right answers")
    dialogue: float = Field(0.08, ge=0, description="conversations of two people")


class Junk(Settings):
    """Pages that should go, each as a number per good page."""

    foreign: float = Field(0.10, ge=0, description="in German, French, Spanish, Italian or Dutch")
    blocked: float = Field(0.05, ge=0, description="on hosts of the blocklist")
    spam: float = Field(0.06, ge=0, description="keyword stuffing")
    gibberish: float = Field(0.03, ge=0, description="random letters")
    broken: float = Field(0.05, ge=0, description="dumps, word lists, repeated or unfinished pages, program text")
    thin: float = Field(0.05, ge=0, description="a sentence or two")
    empty: float = Field(0.02, ge=0, description="menus without any main text")
    missing: float = Field(0.04, ge=0, description="404, redirects, server errors")
    media: float = Field(0.03, ge=0, description="pictures and PDF files")


class Recipe(StageRecipe):
    """How large the world is, what it consists of and what goes wrong in it."""

    stage: str = "world"
    characters: int = Field(28_000_000, ge=1000, description="good English text to write, in characters")
    chunk_characters: int = Field(1_000_000, ge=1000, description="good text per WARC file")
    workers: int = Field(2, ge=1, description="processes; the bytes written do not depend on it")
    people: int = Field(200, ge=20, le=2000, description="people of the encyclopedia; the other subjects grow with it")
    zipf_exponent: float = Field(1.0, ge=0, description="the fact of rank r is told in proportion to r ** -exponent")
    sites: int = Field(40, ge=1, le=70, description="web sites that carry the pages")
    shares: Shares = Shares()
    junk: Junk = Junk()
    exact_copies: float = Field(0.05, ge=0, le=1, description="share of good pages that come again unchanged")
    near_copies: float = Field(0.05, ge=0, le=1, description="share of good pages that come again slightly changed")
    personal_data: float = Field(0.04, ge=0, le=1, description="share of good pages with a mail address, phone or IP")
    typographic: float = Field(0.05, ge=0, le=1, description="share of good pages with curly quotes")
    odd_charset: float = Field(0.06, ge=0, le=1, description="share of good pages with a false or missing charset")
