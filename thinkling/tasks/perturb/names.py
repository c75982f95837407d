"""Common English first names that are hardly anything else: no months, flowers, places, coins or surnames.

Told apart by the pronoun that goes with them; names of both women and men (Alex, Jordan, Taylor) are left out.
"""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


WOMEN: tuple[str, ...] = _words("""
    Abigail Alice Alicia Alison Amanda Amelia Amy Ana Andrea Angela Anita Ann Anna Anne Annie Barbara Becky Bella
    Bernadette Beth Betsy Betty Brenda Bridget Caitlin Carla Carmen Carol Caroline Carolyn Catherine Cathy Cecilia
    Chloe Christina Christine Cindy Claire Clara Claudia Cynthia Daniela Deborah Debbie Denise Diana Diane Donna
    Dorothy Edith Eileen Elaine Elena Eleanor Elise Elizabeth Ella Ellen Emily Emma Erica Erin Esther Ethel Eva
    Evelyn Fiona Frances Gabriela Gina Gloria Greta Gwen Hannah Harriet Heidi Helen Helena Hilda Ida Ingrid Irene
    Isabel Isabella Jacqueline Jane Janet Janice Jenna Jennifer Jenny Jessica Jill Joan Joanna Josephine Joyce
    Judith Judy Julia Julie Juliet Karen Katherine Kathleen Kathy Katie Kate Kayla Kimberly Kristen Kristin Laura
    Lauren Leah Lena Linda Lisa Lois Lorraine Louise Lucia Lucy Lydia Maggie Marcia Margaret Maria Marie Marilyn
    Marissa Martha Mary Maya Megan Melanie Melissa Mia Michelle Mildred Miriam Molly Monica Nadia Nancy Naomi
    Natalia Natalie Nicole Nina Nora Norma Olga Olivia Pamela Patricia Paula Peggy Phyllis Priscilla Rachel Rebecca
    Rita Roberta Rosa Rosie Roxanne Ruth Sally Samantha Sandra Sara Sarah Sharon Sheila Shirley Sofia Sonia Sophia
    Sophie Stella Stephanie Susan Suzanne Sylvia Tamara Tanya Tara Teresa Theresa Tiffany Tina Ursula Valerie
    Vanessa Veronica Vera Vivian Wanda Yolanda Yvonne Zoe
    """)
MEN: tuple[str, ...] = _words("""
    Aaron Abraham Adam Adrian Alan Albert Alexander Alfred Allan Allen Andrew Andy Anthony Antonio Arnold Arthur
    Barry Ben Benjamin Bernard Bob Bobby Boris Brandon Brian Bruce Bryan Calvin Carl Carlos Charles Charlie
    Christopher Clarence Colin Craig Curtis Damian Dan Daniel Danny Darren Dave David Dennis Derek Diego Donald Doug
    Douglas Dylan Eddie Edgar Edward Edwin Eli Elijah Emmanuel Eric Ernest Ethan Eugene Felix Fernando Francisco
    Fred Frederick Gabriel Gary George Gerald Gilbert Gordon Greg Gregory Gustavo Harold Harry Hector Henry Herbert
    Herman Howard Hugh Hugo Ian Igor Isaac Ivan Jacob Jake James Jared Jason Jeff Jeffrey Jeremiah Jeremy Jerome
    Jerry Jim Jimmy Joe Joel John Johnny Jonathan Jorge Jose Joseph Joshua Josh Juan Julian Julio Justin Keith
    Kenneth Kenny Kevin Kurt Kyle Larry Lawrence Leo Leon Leonard Leonardo Lewis Liam Lionel Louis Lucas Luis Luke
    Manuel Marcus Marvin Matt Matthew Maurice Michael Miguel Mike Mitchell Mohamed Nathan Nathaniel Neil Nicholas
    Nigel Noah Norman Oliver Oscar Oswald Owen Pablo Patrick Paul Pedro Peter Phil Philip Phillip Rafael Ralph
    Raymond Ricardo Richard Robert Roberto Roger Roland Ron Ronald Ryan Samuel Scott Sean Sebastian Sergio Seth
    Simon Stanley Stephen Steve Steven Stuart Ted Theodore Thomas Tim Timothy Todd Tom Tommy Tony Trevor Victor
    Vincent Walter Warren Wayne William Zachary
    """)
