"""The closed word lists of the guard (English). Written for it, by hand; every word that is not here counts as content."""

from __future__ import annotations


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


CONTRACTIONS = {
    "what's": "what is", "whats": "what is", "who's": "who is", "where's": "where is", "when's": "when is", "how's": "how is",
    "why's": "why is", "that's": "that is", "there's": "there is", "it's": "it is", "he's": "he is", "she's": "she is",
    "i'm": "i am", "you're": "you are", "we're": "we are", "they're": "they are", "i've": "i have", "you've": "you have",
    "we've": "we have", "they've": "they have", "i'll": "i will", "you'll": "you will", "we'll": "we will", "it'll": "it will",
    "can't": "can not", "cannot": "can not", "won't": "will not", "shan't": "shall not", "don't": "do not", "dont": "do not",
    "doesn't": "does not", "didn't": "did not", "isn't": "is not", "aren't": "are not", "wasn't": "was not",
    "weren't": "were not", "hasn't": "has not", "haven't": "have not", "hadn't": "had not", "couldn't": "could not",
    "wouldn't": "would not", "shouldn't": "should not", "mustn't": "must not", "needn't": "need not", "let's": "let us",
}  # fmt: skip

# Articles may come and go ...
ARTICLES = _set("a an the")
# ... but "a few" is not "few", and in "vitamin a" it is no article.
ARTICLE_COUNTS_BEFORE = _set("few little lot bit number most least more fewer")
LETTER_FOLLOWS = _set(
    "vitamin hepatitis plan type grade group class option question appendix section point series model influenza team"
    " league blood schedule level note key column row part side variant factor"
)
# The present forms of be and do may change places ("tell me what X is"), not in number: "what is he like", "what does he like".
MOVING = {"is": "be", "are": "be", "am": "be", "be": "be", "does": "do", "do": "do"}

GREETINGS = "(?:hi|hello|hey)(?: there)?|please|kindly|okay|ok|so"
# A greeting is one only before these ("hello world" is none).
AFTER_GREETING = _set(
    "there please kindly can could would will i what which who whom whose when where why how is are do does tell"
    " explain write list show summarize summarise translate describe give"
)

# "Can you <verb> ..." asks for the thing itself; with other verbs ("can you swim") it is a question about ability.
TASKS = _set(
    "tell explain write list show summarize summarise translate describe provide generate suggest recommend define"
    " rewrite draft outline classify calculate compute compare convert review"
)

# "How do you <verb>" and "how do we" mean anyone for these; for others ("how do you feel") they mean who is named.
PROCEDURES = _set(
    "make cook bake boil fry install uninstall sort convert calculate compute create build fix repair change remove"
    " delete reset update configure clean tie draw grow open close connect find solve merge reverse parse split join"
    " add set pronounce spell measure check format filter count replace rename copy declare define initialize print"
    " write start stop restart enable disable upgrade downgrade encrypt decrypt compress extract fold iron peel plant"
    " prune wash prove learn use apply run test deploy download upload import export save load send plot train"
)
# "How do I <verb>" is no request for instructions with these.
STATES = _set("look feel sound seem do be smell appear compare")

NEGATIONS = _set("not no never none nothing nobody nowhere neither nor without except unless hardly barely")
YES_NO = _set("is are am was were do does did can could should would will may might must has have had shall")
OBJECTS = _set("the a an my your not it this that some")  # "do the dishes" is no question
QUESTION_WORDS = _set("what which who whom whose when where why how")

_UNITS = (
    "zero one two three four five six seven eight nine ten"
    " eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_OTHERS = "hundred thousand million billion trillion dozen half quarter once twice thrice double triple"
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
NUMBER_WORDS: dict[str, str] = {
    **{word: str(value) for value, word in enumerate(_UNITS.split())},
    **{word: str(10 * value) for value, word in enumerate(_TENS.split(), start=2)},
    **{word: word for word in _OTHERS.split()},
    **{word: f"{value}." for value, word in enumerate(_ORDINALS.split(), start=1)},
    "1st": "1.", "2nd": "2.", "3rd": "3.",
}  # fmt: skip

# A phrase moves to the front with these ("in Python, how ..."); never with from, to, of, than, by, over, before, after:
# what stands around those are its arguments.
MOVABLE = "in on at for using with during within"
# Around these the two arguments may change places without changing the question.
SYMMETRIC = _set("difference differences similarity similarities")

# Taken for one another only when the second embedder agrees too. Left out on purpose is whatever has a second sense, or a
# technical one: fast (a diet), hard (a surface), right (a side), present (now), delete (SQL), purchase (an order).
SYNONYMS = (
    "begin start", "begins starts", "quickly rapidly", "large big", "larger bigger", "largest biggest", "photo photograph",
    "photos photographs", "automobile car", "film movie", "films movies", "tv television", "phone telephone", "bicycle bike",
    "fridge refrigerator", "airplane aeroplane", "doctor physician", "kids children", "kid child", "simplest easiest",
    "assist help", "sofa couch", "repair fix", "pick choose", "approximately roughly", "illness sickness", "wealthy rich",
    "maths math mathematics", "advert advertisement", "tips advice",
)  # fmt: skip
# Words that only add tone.
TONE = _set("really actually basically")

# Endings and whole words of the two spellings of English.
SPELLINGS = {
    "colour": "color", "favourite": "favorite", "behaviour": "behavior", "neighbour": "neighbor", "flavour": "flavor",
    "honour": "honor", "labour": "labor", "humour": "humor", "centre": "center", "metre": "meter", "litre": "liter",
    "theatre": "theater", "fibre": "fiber", "grey": "gray", "organise": "organize", "summarise": "summarize",
    "optimise": "optimize", "analyse": "analyze", "recognise": "recognize", "visualise": "visualize", "normalise": "normalize",
    "initialise": "initialize", "serialise": "serialize", "minimise": "minimize", "maximise": "maximize",
    "programme": "program", "travelling": "traveling", "modelling": "modeling", "cancelled": "canceled", "defence": "defense",
    "kilometre": "kilometer", "centimetre": "centimeter", "aluminium": "aluminum", "jewellery": "jewelry", "tyre": "tire",
}  # fmt: skip

# A prompt with one of these speaks about words themselves: then every word counts as it is written.
ABOUT_WORDS = _set(
    "word words spell spelled spelt spelling synonym synonyms antonym antonyms mean means meaning meanings define"
    " definition translate translation rhyme rhymes rhyming syllable syllables letter letters pronounce pronunciation"
    " etymology phrase sentence sentences grammar plural plurals singular noun nouns verb verbs adjective adjectives"
    " tense spellings british american rewrite paraphrase proofread correct anagram palindrome acronym abbreviation"
    " classify sentiment"
)

# Plural and singular that do not mean the same, or that are no plural at all.
NOT_PLURAL = _set(
    "always perhaps besides news series species physics mathematics economics politics ethics statistics athletics"
    " glasses arms goods customs means works savings manners spirits minutes forces spectacles odds brains pains airs"
    " blues looks dates letters grounds quarters premises proceeds thanks this his its hers ours yours theirs has was"
    " does as us yes plus minus versus bus gas lens virus focus status bonus campus census basis analysis crisis"
    " thesis process address access class mass pass loss less unless across rights interests contents terms sales"
    " woods waters shorts heads seconds times troops morals values clothes returns"
)

# Title case and lower case of these are different words; of a word in capitals (IT, US, WHO) they always are.
AMBIGUOUS_CASE = _set(
    "apple turkey china polish may march august will mark bill rose grace hope faith frank jack sue pat rob drew art"
    " dick go rust swift amazon windows word access target shell gap jordan chad mercury venus mars orange nice"
    " reading bath mobile buffalo hungary danish chili chile cologne lima panama guinea georgia virginia victoria brie"
    " champagne cognac bordeaux orion explorer chrome edge safari opera firefox teams outlook slack zoom discord"
    " notion meta oracle sage spark ember ruby pearl perl crystal julia cobra viper julian earth sun moon god bush"
    " stone wood fox wolf king bishop pope parliament congress state democrat republican catholic liberal conservative"
    " olive ivy iris lily violet daisy jasmine ginger ray ward cook baker potter smith mason carpenter fisher hunter"
    " page chase miles dean earl duke prince major general sunny sandy rocky dusty wally gene lance cliff dale glen"
    " heath brook christian joy charity patience prudence harmony melody carol dawn eve april june summer autumn misty"
    " stormy sky"
)
