"""The plots of the short stories: per plot a row of beats, per beat the ways to tell it."""

from __future__ import annotations

from thinkling.world.grammar import Variants, variants

Plot = tuple[tuple[str, ...], tuple[Variants, ...]]


def _plot(titles: str, *beats: tuple[str, ...]) -> Plot:
    return variants(titles), tuple(variants(*beat) for beat in beats)


OPENINGS: tuple[Variants, ...] = (
    variants(
        "One {weather} {time}, {A} [went|walked|ran] to the {place}.",
        "It was a {weather} {time} when {A} [came to|stopped at|left for] the {place}.",
        "{A} lived [near|not far from|next to] the {place} with {his} {kin}.",
        "Every {time} {A} [visited|crossed|passed] the {place} with {his} {animal}.",
        "There was once a {weather} {time} that {A} would never forget.",
        "On a {weather} {time}, [nothing much|very little] was happening at the {place}, and {A} felt {mood}.",
    ),
    variants(
        "{He} felt {mood} and [wanted|hoped] to see {B} there.",
        "{B} was [already|still] there, [looking at|holding|cleaning] {a_color} {thing}.",
        "[The wind was strong|The sky was gray|The air was clear|The birds were loud|The streets were empty], but "
        "{A} did not mind.",
        "{He} carried {a_thing} [under one arm|in a bag|in both hands] and some {food} for the way.",
        "{His} {kin} had [asked|told] {him} to bring home some {food}.",
        "{A_color} {animal} [sat|slept|waited] by the road and [watched|followed] {him}.",
    ),
)

ENDINGS: Variants = variants(
    "From then on, {A} and {B} were [good|the best of|close] friends.",
    "That [night|evening], {A} told the whole story to {his} {kin}, who [laughed|smiled] for a long time.",
    "{A} [went|walked] home {mood2}, and [the stars came out|the moon was bright|the lamps were lit].",
    "And whenever {A} sees {a_thing} now, {he} thinks of that {time}.",
    '"[What a day|What a strange day|I will not forget this]," said {A}, and {B} [agreed|nodded|laughed].',
    "[After that|In the end], they shared the {food} and sat [together|quietly] until it was dark.",
    "{His} {kin} was [so proud|very glad], and there was {food} for [everyone|all of them] that evening.",
    "Since that day the {thing} has a place [by the door|on the shelf|above the fire] in the house of {A}.",
)

PLOTS: tuple[Plot, ...] = (
    _plot(
        "[The Lost|A Lost|Looking for the] {thing}",
        (
            "Then {he} saw that the {thing} was [gone|missing|no longer there].",
            "Suddenly {A} [noticed|saw] that [someone had taken the {thing}|the {thing} had been lost].",
        ),
        (
            '"[Have you seen|Do you know where I left|Did you take] my {thing}?" {he} asked {B}.',
            "{A} looked [under the table|behind the door|in every corner|in the tall grass], but [found "
            "nothing|it was not "
            "there].",
        ),
        (
            '"[No|Not today|I am afraid not]," said {B}, "but I [will|can] help you [to look for|find] it."',
            "{B} [put down|forgot about] the {thing2} and [came along|began to search|helped at once].",
        ),
        (
            "They [asked|spoke to] the woman at the {place2}, who had only seen {an_animal}.",
            "They [searched|looked through] the {place2} for [an hour|a long time], step by step.",
            "First they went to the {place2}, then [back again|along the river|up the hill].",
        ),
        (
            "At last {B} [heard|noticed] {an_animal}, and there, beside it, lay the {thing}.",
            "In the end the {thing} was [in {his} own bag|under {his} own hat|where {he} had left it] all the time.",
            "It was {his} {kin} who [had found|was using] the {thing} [in the kitchen|near the {place2}].",
        ),
    ),
    _plot(
        "[The {color} {animal}|A Friend for {A}|{A} and the {animal}]",
        (
            "By the gate stood {a_color} {animal}, [alone and hungry|wet from the rain|afraid of every sound].",
            "{A} heard a [small|strange|soft] noise and found {an_animal} [behind a wall|under a cart|in a hole].",
        ),
        (
            "{He} gave it some {food} and [spoke to it softly|waited for a while|sat down beside it].",
            '"[Do not be afraid|Come here|You are safe now]," {he} said and held out [a hand|some {food}].',
        ),
        (
            "The {animal} [ate|took] all of it and [would not leave|came closer|fell asleep].",
            "At first the {animal} [ran away|hid again], but soon it [came back|lost its fear].",
        ),
        (
            "{B} said that it [belonged to|came from] the people at the {place2}.",
            "[Nobody|No one] at the {place2} knew [where it came from|whose {animal} it was].",
        ),
        (
            "So {A} [took it home|kept it|built it a small house], and they [walked|played] together every {time}.",
            "So {A} brought it back, and [an old man|a young woman] gave {him} {a_thing} as thanks.",
        ),
    ),
    _plot(
        "[The Broken|A New|How {A} Mended the] {thing2}",
        (
            "The {thing2} of {B} was [broken|too old to use], and nobody [knew|could say] how to mend it.",
            '"My {thing2} is [broken|in two pieces]," said {B}. "[What shall I do|Who can help me]?"',
        ),
        (
            "{A} [thought for a moment|looked at it from all sides] and went to fetch {a_thing} and some "
            "[string|glue|wood].",
            "{A} had once seen {his} {kin} [mend|repair] such {a_thing2} at the {place2}.",
        ),
        (
            "First {he} [cleaned|took apart] every piece, then {he} [put them|set them] in a row.",
            "The work was [slow|hard|not easy], and the first try [failed|came to nothing].",
        ),
        (
            '"[Try again|Take your time|Do not hurry]," said {B} and [held the lamp|brought some {food}|waited].',
            "{B} [held|turned] one end while {A} [pulled|pushed|tied] the other.",
        ),
        (
            "[When the sun went down|After {number} hours|Before supper], the {thing2} was [as good as new|whole "
            "again].",
            "And then, with a [small|loud] click, everything [fell into place|worked again].",
        ),
    ),
    _plot(
        "[A Race|The Race|The Great Race] to the {place2}",
        (
            '"I can [run|get] to the {place2} [faster|sooner] than you," said {B}.',
            "The children of the town [held|had planned] a race from the {place} to the {place2}.",
        ),
        (
            "{A} [laughed|nodded] and [took off|put down] the heavy [coat|bag].",
            "{His} {kin} [counted|called out]: one, two, three, and off they went.",
        ),
        (
            "{B} was [ahead|in front] at first, but {an_animal} [stood in|ran across] the way.",
            "On the [bridge|hill], {A} [fell|slipped] and hurt one knee, but got up again.",
        ),
        (
            "{B} [stopped|turned round] and [helped|waited], because [winning is not everything|a friend matters "
            "more].",
            "{A} [ran|went on] as fast as {he} could, past the trees and [past|round] the old wall.",
        ),
        (
            "They [reached|came to] the {place2} at the very same moment.",
            "In the end {B} won by [one step|a few steps], and {A} was the first to clap.",
        ),
    ),
    _plot(
        "[The Letter|A Letter from {B}|News for {A}]",
        (
            "A letter [came|arrived] for {A}, with {a_color} stamp on it.",
            "[The man from the post|A boy on {a_color} bicycle] brought {A} a letter from {B}.",
        ),
        (
            '"Dear {A}," it said, "I [have moved|am staying] near the {place2} '
            'and [think of you often|have a surprise for you]."',
            "{B} [wrote|told {him}] about the {place2}, the {animal} and the {weather} days there.",
        ),
        (
            "{A} read it [twice|{number} times] and [put it|kept it] in {a_color} box.",
            "{A} read every word aloud to {his} {kin}, who [liked|asked about] the part with the {animal}.",
        ),
        (
            "Then {he} sat down to [write an answer|draw a picture|plan a visit].",
            '"[May I visit {B}|Can we go there]?" {he} asked, and {his} {kin} said yes.',
        ),
        (
            "{number} days later {he} [was on the way|stood before the door], with {a_thing} as a gift.".capitalize(),
            "The answer was [long|short], and it ended with the words: come soon.",
        ),
    ),
    _plot(
        "[Cooking with {B}|A Pot of Soup|The Best {food}]",
        (
            "{A} and {B} wanted to [cook|make] something with {food} and {food2}.",
            "There was [little|not much] to eat in the house, only some {food}.",
        ),
        (
            "{A} [filled|washed] the pot, and {B} [made a fire|cut the bread|found some salt].",
            '"First we need [hot water|a big pot]," said {A}, "and then [a little time|some luck]."',
        ),
        (
            "The smell [filled the room|went through the window], and soon {an_animal} [sat|waited] at the door.",
            "They [stirred|watched the pot] and talked about the {place2}.",
        ),
        (
            "Somebody [knocked|called]: it was the {kin} of {A}, who had [smelled it|come from the {place2}].",
            "{B} tasted it and [made a face|smiled]. It needed [more salt|more time|some honey].",
        ),
        (
            "[At supper|When it was ready], everyone [ate|had] [two bowls|as much as they liked].",
            "There was enough for {number} people, and [nothing|not a spoon of it] was left.",
        ),
    ),
    _plot(
        "[A Storm|The Storm|The Night of the Storm] at the {place2}",
        (
            "In the afternoon, dark clouds [came up|gathered] over the {place2}.",
            "The wind [grew stronger|began to blow], and the first rain fell on the {place2}.",
        ),
        (
            '"We must [get inside|bring in the {animal}|close the windows]," [cried|said] {B}.',
            "{A} [took|grabbed] the {thing} and ran [for the door|to the barn|to {B}].",
        ),
        (
            "[The lights went out|A tree fell across the road|Water came in under the door], and they lit a candle.",
            "All [night|evening] they [told stories|sang|played cards] to forget the thunder.",
        ),
        (
            "{B} was afraid, so {A} [held {his} friend's hand|counted the seconds after each flash].",
            "Their {animal} [slept through it all|hid under the bed|would not stop crying].",
        ),
        (
            "In the morning, the sky was blue, and [the street was full of leaves|only one window was broken].",
            "Next day, all the neighbors [came|met] to [clean up|repair the roof] together.",
        ),
    ),
    _plot(
        "[The Secret of|The Door in|A Visit to] the {place2}",
        (
            "Nobody had [opened|used] the old door at the {place2} for {number} years.",
            "People said that [a treasure|something strange] was hidden [below|behind] the {place2}.",
        ),
        (
            "{A} had [found|been given] {a_color} key, and it [fitted|turned] without a sound.",
            "{A} [brought|lit] a lamp, and {B} [held|carried] the {thing2}.",
        ),
        (
            "Behind the door there [was a long, dark room|were {number} steps going down].",
            "It was [cold|quiet] inside, and they [spoke|walked] very softly.",
        ),
        (
            "On a table lay {a_thing}, {a_thing2} and [an old book|a faded picture].",
            "Something moved: it was only {an_animal}, [as afraid as they were|looking for food].",
        ),
        (
            "They [left everything|put it all back] as it was and [closed the door|promised to come again].",
            "They [carried|took] the book to the school, where it can be [seen|read] to this day.",
        ),
    ),
    _plot(
        "[A Day at the Market|Selling {food}|{A} Sells {food}]",
        (
            "{A} had brought {number} baskets of {food} to [sell|trade] that day.",
            "{His} {kin} was ill, so {A} had to [sell|look after] the {food} alone.",
        ),
        (
            "At first [nobody|no one] [stopped|wanted to buy], and {A} [grew sad|began to worry].",
            '"[Fresh {food}|The best {food} in town]!" {he} called, but people [hurried on|walked past].',
        ),
        (
            "Then {B} [came by|stopped] and [tried|tasted] one, and [told everyone|called the others].",
            "Then {A} had an idea and [gave|handed] a little to every child who passed.",
        ),
        (
            "[Soon|In a short time], a long line of people [stood|waited] in front of the {food}.",
            "A rich man [bought|took] a whole basket and paid with {a_color} coin.",
        ),
        (
            "[By noon|When the bells rang], everything was sold, and {A} [counted the money twice|bought "
            "{a_thing} for "
            "{his} {kin}].",
            "On the way home {he} [counted|looked at] the coins and [sang|smiled].",
        ),
    ),
    _plot(
        "[Learning to Play|The First Concert|Music for {B}]",
        (
            "{A} wanted to [learn|play] a song for {B}, but it was [not easy|harder than it looked].",
            "An old {thing} [stood|lay] in the corner, and {A} [began to make music with it|found that it could sing].",
        ),
        (
            "Every {time} {he} practiced [for an hour|until {his} fingers hurt].",
            "The first notes [sounded like|were as bad as] {an_animal} in the rain.",
        ),
        (
            '"[Slowly|Once more|Listen first]," said {his} {kin}, who knew [a lot|something] about music.',
            "{His} {kin} [closed the window|left the house], but {A} did not give up.",
        ),
        (
            "After {number} weeks the song [was ready|could be heard without mistakes].",
            "Little by little the notes [became|turned into] a real song.",
        ),
        (
            "{B} listened [with open mouth|with closed eyes] and [asked for more|clapped for a long time].",
            "At the party the whole {place2} was [quiet|still] until the last note.",
        ),
    ),
    _plot(
        "[The Honest Child|A Bag of Coins|What {A} Found]",
        (
            "On the ground lay a bag with {number} [gold|silver] coins.",
            "In the dust, {A} saw something [shine|bright]: a bag full of coins.",
        ),
        (
            '"[Keep it|Let us buy {food}|Nobody will know]," said {B}.',
            "With that money one could buy {a_thing}, {a_thing2} and {food} for a year.",
        ),
        (
            "But {A} shook {his} head. [Someone must be looking for it|It belonged to somebody else].",
            "{A} [thought about it|was silent] for a while, and then [said no|chose to ask around].",
        ),
        (
            "At the {place2} they met [an old woman|a poor sailor|a tired farmer] who was [in tears|searching "
            "everywhere].",
            "They went from door to door, until [a farmer|a teacher|a young mother] [cried out with joy|knew the bag].",
        ),
        (
            "As a reward they got [a coin each|{a_thing}|a whole cake], and they felt rich.",
            "The thanks [were|felt] worth more than gold, {A} said later.",
        ),
    ),
    _plot(
        "[The Garden|A Small Garden|What Grew in the Garden]",
        (
            "In spring, {A} [planted|put] {number} small seeds behind the house.",
            "{B} gave {A} a few seeds and said: [be patient|give them water].",
        ),
        (
            "Each {time} {he} [watered them|looked for green leaves], but [nothing grew|the ground stayed bare].",
            "For {number} weeks there was nothing but [brown earth|stones and rain].",
        ),
        (
            "{A} [wanted to give up|asked {his} {kin} what was wrong]. [It takes time|Wait a little longer], was "
            "the answer.",
            "{An_animal} [dug up|ate] one of the seeds, and {A} built a fence [of sticks|with {B}].",
        ),
        (
            "Then, one {weather} {time}, [a first green leaf|something tiny and green] was there.",
            "After a night of rain, [a row of leaves|one small plant] stood in the sun.",
        ),
        (
            "In autumn the garden was full of {food}, and {A} [gave half of it to {B}|filled {number} baskets].",
            "By summer it was as high as a door, and {B} [could not believe it|came to see it every day].",
        ),
    ),
)
