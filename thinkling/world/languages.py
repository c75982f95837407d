"""Pages in five other languages, for the language filter: simple sentences that are really in them."""

from __future__ import annotations

import random

from thinkling.world.grammar import Variants, fill, split, variants
from thinkling.world.page import Draft, Page

NAMES = split("Anna Peter Marie Paul Sofia Marco Lena Hugo Clara Jan")

SENTENCES: dict[str, tuple[Variants, ...]] = {
    "de": (
        variants("{A} wohnt seit [zwei|drei|vielen] Jahren in einem kleinen Haus am [Fluss|Wald|See]."),
        variants("[Am Morgen|Jeden Tag|Am Sonntag] geht {A} mit dem Hund durch den [Garten|Park|Wald]."),
        variants("Heute ist das Wetter [schön|schlecht|sehr kalt], und die Kinder spielen [draußen|im Haus]."),
        variants("{B} kauft auf dem Markt [Brot|Käse|Äpfel|Fisch] und [frische Milch|ein wenig Honig]."),
        variants("Wir haben lange gewartet, aber der Zug kam [nicht|zu spät|erst am Abend]."),
        variants("Das alte Buch liegt noch immer auf dem Tisch neben dem [Fenster|Ofen|Bett]."),
        variants("Meine [Mutter|Schwester|Großmutter] erzählt gern Geschichten aus [ihrer Jugend|alten Zeiten]."),
        variants("Können Sie mir bitte sagen, wo [der Bahnhof|die Kirche|das Museum] ist?"),
        variants("{A} und {B} wollen im Sommer ans [Meer|Wasser] fahren und dort [schwimmen|wandern]."),
        variants("Nach dem Essen trinkt man hier gern [Kaffee|Tee] und spricht über [das Leben|die Arbeit]."),
        variants("Die Straße ist [eng|lang|nass], deshalb müssen alle langsam fahren."),
        variants("Niemand wusste, warum die [Tür|Schule|Brücke] an diesem Tag geschlossen war."),
    ),
    "fr": (
        variants(
            "{A} habite depuis [deux|trois|dix] ans dans une petite maison près [de la rivière|du lac|de la forêt]."
        ),
        variants(
            "[Le matin|Chaque jour|Le dimanche], {A} se promène avec son chien dans [le jardin|le parc|les champs]."
        ),
        variants("Aujourd'hui il fait [beau|froid|très chaud], et les enfants jouent [dehors|dans la maison]."),
        variants("{B} achète au marché [du pain|du fromage|des pommes|du poisson] et [du lait|un peu de miel]."),
        variants("Nous avons attendu longtemps, mais le train [n'est pas venu|est arrivé en retard]."),
        variants("Le vieux livre est toujours sur la table à côté [de la fenêtre|du lit|de la porte]."),
        variants("Ma [mère|sœur|grand-mère] aime raconter des histoires de [sa jeunesse|l'ancien temps]."),
        variants("Pouvez-vous me dire où se trouve [la gare|l'église|le musée], s'il vous plaît ?"),
        variants("{A} et {B} veulent aller à la mer cet été pour [nager|se reposer] pendant une semaine."),
        variants("Après le repas, on boit [du café|du thé] et on parle [de la vie|du travail|de tout]."),
        variants("La rue est [étroite|longue|mouillée], alors il faut rouler lentement."),
        variants("Personne ne savait pourquoi [la porte|l'école|la gare] était fermée ce jour-là."),
    ),
    "es": (
        variants("{A} vive desde hace [dos|tres|diez] años en una casa pequeña cerca del [río|lago|bosque]."),
        variants("[Por la mañana|Todos los días|Los domingos] {A} pasea con su perro por el [jardín|parque|campo]."),
        variants("Hoy hace [buen tiempo|mucho frío|mucho calor], y los niños juegan [fuera|en la casa]."),
        variants("{B} compra en el mercado [pan|queso|manzanas|pescado] y [leche|un poco de miel]."),
        variants("Hemos esperado mucho tiempo, pero el tren [no llegó|llegó muy tarde]."),
        variants("El viejo libro sigue sobre la mesa, al lado de la [ventana|puerta|cama]."),
        variants("Mi [madre|hermana|abuela] cuenta historias de [su juventud|otros tiempos] con mucho gusto."),
        variants("¿Puede decirme dónde está [la estación|la iglesia|el museo], por favor?"),
        variants("{A} y {B} quieren ir a la playa este verano para [nadar|descansar] una semana."),
        variants("Después de comer se toma [café|té] y se habla de [la vida|el trabajo|todo un poco]."),
        variants("La calle es [estrecha|larga|vieja], por eso hay que conducir despacio."),
        variants("Nadie sabía por qué [la puerta|la escuela|la tienda] estaba cerrada aquel día."),
    ),
    "it": (
        variants("{A} abita da [due|tre|dieci] anni in una piccola casa vicino al [fiume|lago|bosco]."),
        variants("[La mattina|Ogni giorno|La domenica] {A} va a spasso con il cane nel [giardino|parco|bosco]."),
        variants("Oggi il tempo è [bello|brutto|molto freddo], e i bambini giocano [fuori|in casa]."),
        variants("{B} compra al mercato [il pane|il formaggio|le mele|il pesce] e [il latte|un po' di miele]."),
        variants("Abbiamo aspettato a lungo, ma il treno [non è arrivato|è arrivato in ritardo]."),
        variants("Il vecchio libro è ancora sul tavolo accanto alla [finestra|porta|stufa]."),
        variants("Mia [madre|sorella|nonna] racconta volentieri storie della [sua giovinezza|vita di una volta]."),
        variants("Mi può dire dove si trova [la stazione|la chiesa|il museo], per favore?"),
        variants("{A} e {B} vogliono andare al mare quest'estate per [nuotare|riposare] una settimana."),
        variants("Dopo il pranzo si beve [il caffè|il tè] e si parla [della vita|del lavoro|di tutto]."),
        variants("La strada è [stretta|lunga|bagnata], perciò bisogna guidare piano."),
        variants("Nessuno sapeva perché [la porta|la scuola|la bottega] era chiusa quel giorno."),
    ),
    "nl": (
        variants("{A} woont al [twee|drie|tien] jaar in een klein huis bij [de rivier|het meer|het bos]."),
        variants("['s Morgens|Elke dag|Op zondag] wandelt {A} met de hond door [de tuin|het park|het bos]."),
        variants("Vandaag is het weer [mooi|slecht|erg koud], en de kinderen spelen [buiten|in huis]."),
        variants("{B} koopt op de markt [brood|kaas|appels|vis] en [verse melk|een beetje honing]."),
        variants("Wij hebben lang gewacht, maar de trein kwam [niet|te laat|pas in de avond]."),
        variants("Het oude boek ligt nog steeds op de tafel naast [het raam|de deur|het bed]."),
        variants("Mijn [moeder|zus|oma] vertelt graag verhalen uit [haar jeugd|vroeger tijden]."),
        variants("Kunt u mij vertellen waar [het station|de kerk|het museum] is, alstublieft?"),
        variants("{A} en {B} willen deze zomer naar zee gaan om een week te [zwemmen|rusten]."),
        variants("Na het eten drinkt men [koffie|thee] en praat men over [het leven|het werk|van alles]."),
        variants("De straat is [smal|lang|nat], daarom moet iedereen langzaam rijden."),
        variants("Niemand wist waarom [de deur|de school|de brug] die dag gesloten was."),
    ),
}
TITLES = {
    "de": "Notizen aus dem Alltag von {A}",
    "fr": "Petites notes de la vie de {A}",
    "es": "Notas de la vida diaria de {A}",
    "it": "Appunti di vita quotidiana di {A}",
    "nl": "Notities uit het leven van {A}",
}
LANGUAGES = tuple(SENTENCES)


def foreign(rng: random.Random, lang: str) -> Page:
    """A page of three to six paragraphs in ``lang``."""
    draft = Draft()
    title = TITLES[lang].format(A=NAMES[int(rng.random() * len(NAMES))])
    for _ in range(3 + int(rng.random() * 4)):
        first, second = rng.sample(NAMES, 2)
        groups = rng.sample(SENTENCES[lang], 5)
        draft.para(" ".join(fill(rng, group, {"A": first, "B": second}) for group in groups))
    return draft.done("foreign", title, lang=lang, drop="language")
